"""What the expert sees of a LIBERO scene: shapes, regions, joints, the hand, and which parts of the goal hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from world_modality.benchmarks.libero.expert.boxes import Boxes, Vector
from world_modality.benchmarks.libero.simulator import LiberoSimulator

ROOF = 0.02  # m over a region's middle, where what covers it begins
MOUTH_REACH = 0.30  # m from a region's middle to where nothing may be in the way
COVER = 0.02  # m: what covers a region less than this far from its end covers the end


@dataclass(frozen=True)
class Region:
    """A place that BDDL names: a box in the world, maybe of a thing, maybe moved by a joint."""

    name: str
    owner: str | None
    """The object or fixture that it belongs to; None for a part of the table or the floor."""
    center: Vector
    """[3] (m)"""
    half: Vector
    """[3], along the world's axes (m)."""
    joint: str | None
    """What opens it."""


@dataclass(frozen=True)
class Joint:
    """A hinge or a slide."""

    value: float
    axis: Vector
    """[3], in the world."""
    anchor: Vector
    """[3] (m), in the world."""
    hinge: bool
    low: float
    high: float

    @property
    def outward(self) -> Vector:
        """The direction [3] in which a slide opens, away from 0."""
        return np.asarray(self.axis * (1.0 if abs(self.high) > abs(self.low) else -1.0))

    def direction(self, point: Vector) -> Vector:
        """Where a point [3] of the moved part goes as the value grows, per unit of it: [3]."""
        return np.asarray(np.cross(self.axis, point - self.anchor)) if self.hinge else self.axis


class Scene:
    """Privileged view of a simulator as it is now; nothing here changes it."""

    def __init__(self, env: LiberoSimulator) -> None:
        """Look up which geoms make each thing; valid until the simulator's next ``reset``."""
        self._sim_env: Any = env.robosuite
        self._model = self._sim_env.sim.model._model
        self._env = env
        bodies = self._sim_env.obj_body_id
        self._geoms = {name: self._collision_geoms(bodies[name]) for name in bodies}
        self.things = tuple(name for name in bodies if len(self._geoms[name]))

    @property
    def _data(self) -> Any:
        return self._sim_env.sim.data._data

    @property
    def goal(self) -> tuple[tuple[str, ...], ...]:
        """The conjuncts of the task's goal."""
        return self._env.goal

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of what can be moved."""
        return self._env.objects

    def hand(self) -> tuple[Vector, Vector]:
        """World position [3] (m) and rotation [3, 3] of the point between the fingers."""
        return self._env.hand()

    def opening(self) -> float:
        """Distance of the fingers (m)."""
        fingers = self._data.qpos[self._sim_env.robots[0]._ref_gripper_joint_pos_indexes]
        return float(np.abs(fingers).sum())

    def in_hand(self) -> str | None:
        """What of the movable things both fingers touch; None if there is no such."""
        gripper = self._sim_env.robots[0].gripper
        pads = [
            [self._model.geom(geom).id for geom in gripper.important_geoms[f"{side}_fingerpad"]]
            for side in ("left", "right")
        ]
        pairs = self._data.contact.geom
        for name in self.objects:
            touching = pairs[np.isin(pairs, self._geoms[name]).any(axis=1)]
            if all(np.isin(touching, pad).any() for pad in pads):
                return name
        return None

    def position(self, name: str) -> Vector:
        """World position [3] (m) of a thing's origin, which LIBERO's conditions are about."""
        return self._env.position(name)

    def rotation(self, name: str) -> Vector:
        """World rotation [3, 3] of a thing."""
        return np.array(self._data.xmat[self._sim_env.obj_body_id[name]]).reshape(3, 3)

    def mass_center(self, name: str) -> Vector:
        """World position [3] (m) of a thing's centre of mass."""
        return np.array(self._data.subtree_com[self._sim_env.obj_body_id[name]])

    def boxes(self, name: str) -> Boxes:
        """A thing's collision shapes."""
        return self._boxes(self._geoms[name])

    def part(self, name: str, joint: str) -> tuple[Boxes, Boxes]:
        """The shapes of a thing's part that ``joint`` moves, and those of everything else but the robot."""
        body = self._model.jnt_bodyid[self._model.joint(joint).id]
        geoms = self._geoms[name]
        moved = self._model.geom_bodyid[geoms] == body
        return self._boxes(geoms[moved]), Boxes.together([self.others(name), self._boxes(geoms[~moved])])

    def others(self, *names: str) -> Boxes:
        """The shapes of everything but these things, the arena and the robot."""
        return Boxes.together([self._boxes(self._geoms[other]) for other in self.things if other not in names])

    def region(self, name: str) -> Region | None:
        """A region by its name; None if it is none, but a thing."""
        site = self._sim_env.object_sites_dict.get(name)
        if site is None:
            return None
        placed = self._data.site(name)
        rotation = np.array(placed.xmat).reshape(3, 3)
        half = np.abs(rotation) @ np.asarray(site.size, dtype=np.float64)
        owner = site.parent_name if site.parent_name in self._geoms else None
        return Region(name, owner, np.array(placed.xpos), half, next(iter(site.joints or ()), None))

    def uncovered(self, region: Region) -> Region:
        """The part of a drawer's region that nothing of its cabinet covers; other regions as they are."""
        if region.joint is None or region.owner is None:
            return region
        geoms = self._geoms[region.owner]
        body = self._model.jnt_bodyid[self._model.joint(region.joint).id]
        low, high = self._boxes(geoms[self._model.geom_bodyid[geoms] != body]).bounds
        axis = int(np.argmax(np.abs(self.joint(region.joint).axis)))
        first, last = region.center - region.half, region.center + region.half
        meets = (low < last) & (high > first)
        over = meets[:, 0] & meets[:, 1] & (high[:, 2] > region.center[2])
        for bottom, top in zip(low[over, axis], high[over, axis], strict=True):
            if bottom <= first[axis] + COVER:
                first[axis] = max(first[axis], top)
            elif top >= last[axis] - COVER:
                last[axis] = min(last[axis], bottom)
        half = np.maximum((last - first) / 2, 0.0)
        return replace(region, center=(first + last) / 2, half=half)

    def roof(self, region: Region) -> Boxes:
        """What of its owner lies over the middle of a region that no drawer moves."""
        if region.owner is None or region.joint is not None:
            return Boxes.together([])
        boxes = self.boxes(region.owner)
        low, high = boxes.bounds
        over = np.all((low[:, :2] < region.center[:2]) & (high[:, :2] > region.center[:2]), axis=1)
        return boxes.chosen(over & (low[:, 2] > region.center[2] + ROOF))

    def mouth(self, region: Region) -> Vector | None:
        """The horizontal direction [3] from which a roofed region can be reached; None if it is walled on all sides."""
        if region.owner is None:
            return None
        low, high = self.boxes(region.owner).bounds
        for out in (np.array([x, y, 0.0]) for x, y in ((0, -1), (0, 1), (-1, 0), (1, 0))):
            way = region.center[:2], (region.center + MOUTH_REACH * out)[:2]
            first, last = np.minimum(*way) - 1e-3, np.maximum(*way) + 1e-3
            meets = np.all((low[:, :2] < last) & (high[:, :2] > first), axis=1)
            if not np.any(meets & (low[:, 2] < region.center[2]) & (high[:, 2] > region.center[2])):
                return out
        return None

    def handle(self, name: str, joint: str) -> Vector:
        """The middle [3] (m) of the box of a drawer that stands out farthest."""
        part, _ = self.part(name, joint)
        outward = self.joint(joint).outward
        ends = np.maximum(part.bounds[0] @ outward, part.bounds[1] @ outward)
        return np.asarray(part.centers[int(np.argmax(ends))])

    def joints(self, name: str) -> tuple[str, ...]:
        """Names of the joints of an articulated thing."""
        return tuple(self._sim_env.get_object(name).joints) if name in self._env.fixtures else ()

    def opens(self, name: str) -> bool:
        """Whether a thing itself can be open or closed, as a microwave can and a cabinet's drawers do for it."""
        thing = self._sim_env.get_object(name)
        return len(self.joints(name)) == 1 and hasattr(thing, "is_open")

    def joint(self, name: str) -> Joint:
        """A joint as it is now."""
        number = self._model.joint(name).id
        low, high = self._model.jnt_range[number]
        return Joint(
            value=float(self._data.qpos[self._model.jnt_qposadr[number]]),
            axis=np.array(self._data.xaxis[number]),
            anchor=np.array(self._data.xanchor[number]),
            hinge=int(self._model.jnt_type[number]) == 3,
            low=float(low),
            high=float(high),
        )

    def holds(self, condition: Sequence[str]) -> bool:
        """Whether a conjunct such as ("on", "plate_1", "table_region") holds now, by LIBERO's own rule."""
        # the simulator notes what is asked of its instance, so the class is asked
        return bool(type(self._sim_env)._eval_predicate(self._sim_env, list(condition)))

    def _collision_geoms(self, body: int) -> Any:
        model = self._model
        inside = np.zeros(model.nbody, dtype=bool)
        inside[body] = True
        for child in range(body + 1, model.nbody):  # parents come before their children
            inside[child] |= inside[model.body_parentid[child]]
        solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        return np.flatnonzero(inside[model.geom_bodyid] & solid)

    def _boxes(self, geoms: Any) -> Boxes:
        rotations = np.array(self._data.geom_xmat[geoms]).reshape(-1, 3, 3)
        middle, half = self._model.geom_aabb[geoms][:, :3], self._model.geom_aabb[geoms][:, 3:]
        centers = self._data.geom_xpos[geoms] + np.einsum("nij,nj->ni", rotations, middle)
        return Boxes(centers, rotations, np.array(half))
