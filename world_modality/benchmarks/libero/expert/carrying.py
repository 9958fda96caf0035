"""Picking a thing up and putting it where a condition wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from world_modality.benchmarks.libero.expert.boxes import Boxes, Vector, half_turn, rectangle
from world_modality.benchmarks.libero.expert.goals import Errand, companions
from world_modality.benchmarks.libero.expert.grasp import (
    HAND_WIDTH,
    PALM,
    PALM_WIDTH,
    REACH,
    TIPS,
    Grasp,
    downward,
    grasps,
    lowest,
)
from world_modality.benchmarks.libero.expert.motion import CLOSED, OPEN, Arm, Course, Finding, Missed, tallest, way_out
from world_modality.benchmarks.libero.expert.scene import Region, Scene

ROOM = 0.02  # m above what the hand, or what it holds, passes over
UP = np.array([0.0, 0.0, 1.0])
HOVER = 0.05  # above the grip, where the hand comes down from
STRAYED = 0.04  # from the grip's axis: somebody else drove, so begin anew
MOVED = 0.02  # of the thing since its grip was chosen
SLIPPED = 0.045  # of the thing in the hand
CLOSE_STEPS = (6, 14)  # least and most
SETTLED = 3e-4  # m per step of the fingers
LOWER_STEPS = 70
SLIDE_STEPS = 120
WAY_STEPS = 120  # of a way that is free
OVERHEAD = 0.008  # m around a thing, where nothing may be over it when it is lifted
DRAGGED = 0.012  # m over the ground, of what is dragged from under something
LIFTED = 0.03  # m that a thing is raised at least
LEVEL = 0.03  # m between what lies on the same thing
FIRM = 0.5  # hold of a grip that carries
REST = 8e-4  # m per step: slower, what is lowered lies on something
NARROW = 0.9  # of a region's half width that a thing's origin may be off its middle
LARGEST_TURN = np.radians(110)  # of the hand from how it started


@dataclass
class Carrier:
    """Carries things; remembers which grips failed."""

    scene: Scene
    arm: Arm
    rest_yaw: float
    """Of the fingers when the episode began (rad)."""
    holding: str | None = None
    """What the hand has hold of when the expert takes over, until that is carried on."""
    tried: dict[str, list[Grasp]] = field(default_factory=dict)

    def place(self, errand: Errand) -> Course:
        """Bring about ``errand.condition``; Missed if the thing was lost on the way."""
        grasp = yield from self.pick(errand.thing)
        try:
            yield from self._slide(errand, grasp) if self._flat(errand, grasp) else self._put(errand, grasp)
        except Missed:
            self.tried.setdefault(errand.thing, []).append(grasp)
            raise

    # ---- picking up

    def _choose(self, thing: str, wanted: Callable[[Grasp], bool] | None) -> Grasp:
        scene = self.scene
        others = scene.others(thing)
        # a thing under something is moved from there before it is lifted, so the hand must have room there, too
        away = way_out(scene.boxes(thing), others, OVERHEAD)
        found = grasps(
            scene.boxes(thing),
            Boxes.together([others, others.moved(-away)]) if away.any() else others,
            scene.mass_center(thing),
            self._yaw(),
            self.tried.get(thing, []),
            wanted=wanted,
        )
        if not found:
            raise Missed(f"nothing of {thing} fits between the fingers")
        return found[0]

    def _yaw(self) -> float:
        """Direction in which the fingers move now (rad), as near as possible to how they started."""
        fingers = self.scene.hand()[1][:, 0]
        if abs(float(fingers[2])) > 0.5:  # it does not point down
            return self.rest_yaw
        return self.rest_yaw + half_turn(float(np.arctan2(fingers[1], fingers[0])) - self.rest_yaw)

    def pick(self, thing: str, wanted: Callable[[Grasp], bool] | None = None) -> Finding[Grasp]:
        """Grip a thing, by one of the grips that will do, unless the hand has it already; Missed if there is none."""
        if thing == self.holding:
            self.holding = None
            return Grasp(self.scene.hand()[0], self._yaw(), hold=1.0, cost=0.0, taken_over=True)
        strays = 0
        while True:
            grasp = self._choose(thing, wanted)
            yaw = self.rest_yaw + half_turn(grasp.yaw - self.rest_yaw)
            rotation, offset = downward(yaw), grasp.point - self.scene.position(thing)
            try:
                still = yield from self._reach(thing, offset, rotation)
            except Missed:
                self.tried.setdefault(thing, []).append(grasp)
                raise
            if not still:
                continue
            if (yield from self._descend(thing, offset, rotation)):
                break
            strays += 1
            if strays > 2:
                self.tried.setdefault(thing, []).append(grasp)
        yield from self._close(rotation)
        return replace(grasp, yaw=yaw)

    def _reach(self, thing: str, offset: Vector, rotation: Vector) -> Finding[bool]:
        """False if the thing was moved meanwhile."""
        planned = self.scene.position(thing) + offset
        for _ in range(WAY_STEPS):
            hand, _ = self.scene.hand()
            grip = self.scene.position(thing) + offset
            if float(np.linalg.norm(grip - planned)) > MOVED:
                return False
            safe = max(self._safe(hand, grip), grip[2] + HOVER)
            sideways = float(np.linalg.norm((hand - grip)[:2]))
            turn = self.arm.turned_by(rotation)
            if sideways < 0.012 and turn < 0.12:
                return True
            target = np.append(grip[:2], safe)
            if hand[2] < safe - 0.03 and sideways > 0.03:
                target[:2] = hand[:2]
            yield "reach", self.arm.to(target, rotation, OPEN)
        raise Missed(f"no way to {thing}")

    def _safe(self, hand: Vector, end: Vector) -> float:
        others = self.scene.others()
        low = tallest(others, hand, end, HAND_WIDTH) + TIPS
        return max(low, tallest(others, hand, end, PALM_WIDTH) - PALM) + ROOM

    def _descend(self, thing: str, offset: Vector, rotation: Vector) -> Finding[bool]:
        for _ in range(60):
            hand, _ = self.scene.hand()
            grip = self.scene.position(thing) + offset
            sideways = float(np.linalg.norm((hand - grip)[:2]))
            if sideways > STRAYED:
                return False
            if hand[2] - grip[2] < 0.003 and sideways < 0.008:
                break
            yield "descend", self.arm.to(grip, rotation, OPEN, speed=0.6)
        return True

    def _close(self, rotation: Vector) -> Course:
        anchor, _ = self.scene.hand()
        opening, still = self.scene.opening(), 0
        for step in range(CLOSE_STEPS[1]):
            yield "close", self.arm.to(anchor, rotation, CLOSED)
            now = self.scene.opening()
            still = still + 1 if abs(now - opening) < SETTLED else 0
            opening = now
            if step >= CLOSE_STEPS[0] and still >= 2:
                break

    # ---- putting down

    def _put(self, errand: Errand, grasp: Grasp) -> Course:
        scene, thing = self.scene, errand.thing
        held = self.held(thing)
        yaw = grasp.yaw + self._turn(errand, grasp.yaw)
        rotation, raised = downward(yaw), grasp.taken_over
        there = raised and float(np.linalg.norm((self._spot(errand) - scene.position(thing))[:2])) < ROOM
        if not there:
            yield from self.lift(thing, self._spot(errand), downward(grasp.yaw), held, raised=raised)
            yield from self._carry(errand, rotation, held)
        yield from self._lower(errand, rotation, held)
        yield from self.release(errand, rotation)

    def _carry(self, errand: Errand, rotation: Vector, held: Vector) -> Course:
        scene, thing = self.scene, errand.thing
        for _ in range(WAY_STEPS):
            hand, _ = scene.hand()
            spot, origin = self._spot(errand), scene.position(thing)
            away = float(np.linalg.norm((origin - spot)[:2]))
            if away < 0.012 and self.arm.turned_by(rotation) < 0.1:
                break
            self.check(thing, held)
            target = spot + hand - origin
            target[2] = self.safe_with(thing, hand, target)
            if hand[2] < target[2] - 0.03:
                target[:2] = hand[:2]
            yield "carry", self.arm.to(target, rotation, CLOSED, speed=0.7)

    def lift(self, thing: str, spot: Vector, rotation: Vector, held: Vector, *, raised: bool = False) -> Course:
        """Raise a held thing, unless it is ``raised``, until it passes over everything on the way to ``spot`` [3]."""
        scene = self.scene
        bottom = scene.boxes(thing).low[2]
        if self._free(thing, way_out(scene.boxes(thing), scene.others(thing), OVERHEAD), rotation):
            yield from self._drag(thing, rotation, held)
        start = scene.hand()[0]
        for _ in range(WAY_STEPS):
            hand, _ = scene.hand()
            safe = self.safe_with(thing, hand, spot)
            if hand[2] > safe - ROOM / 2 and (raised or scene.boxes(thing).low[2] > bottom + LIFTED):
                return
            self.check(thing, held)
            target = np.append(start[:2], max(safe, start[2] + LIFTED) + 0.02)
            yield "lift", self.arm.to(target, rotation, CLOSED, speed=0.7)

    def _free(self, thing: str, away: Vector, rotation: Vector) -> bool:
        """Whether the hand may go that far sideways [3] without touching anything."""
        hand, _ = self.scene.hand()
        there = Grasp(hand + away, float(np.arctan2(rotation[1, 0], rotation[0, 0])), 1.0, 0.0)
        around = self.scene.others(thing).near(there.point, REACH).points(0.012)
        return lowest(around, there, 0.0) <= float(hand[2]) + DRAGGED

    def _drag(self, thing: str, rotation: Vector, held: Vector) -> Course:
        """Move a held thing from under what it would hit on its way up."""
        scene, bottom = self.scene, self.scene.boxes(thing).low[2]
        for _ in range(WAY_STEPS):
            away = way_out(scene.boxes(thing), scene.others(thing), OVERHEAD)
            if not away.any():
                return
            self.check(thing, held)
            raised = np.array([0.0, 0.0, bottom + DRAGGED - scene.boxes(thing).low[2]])
            yield "lift", self.arm.to(scene.hand()[0] + away + raised, rotation, CLOSED, speed=0.6)

    def _flat(self, errand: Errand, grasp: Grasp) -> bool:
        """Whether a thing that cannot be held well is already at the height where it is to be."""
        region = self.scene.region(errand.target)
        if region is None or region.owner is not None or grasp.hold >= FIRM:
            return False
        return abs(float(region.center[2] - self.scene.boxes(errand.thing).low[2])) < LEVEL

    def _slide(self, errand: Errand, grasp: Grasp) -> Course:
        """Push a thing to its place over what it stands on."""
        scene, thing, rotation = self.scene, errand.thing, downward(grasp.yaw)
        height, held = scene.hand()[0][2], self.held(errand.thing)
        done = 0
        for _ in range(SLIDE_STEPS):
            hand, _ = scene.hand()
            target = self._spot(errand) + hand - scene.position(thing)
            target[2] = height
            yield "push", self.arm.to(target, rotation, CLOSED, speed=0.5)
            self.check(thing, held)
            done = done + 1 if scene.holds(errand.condition) else 0
            if done >= 4:
                break
        yield from self.release(errand, rotation)

    def safe_with(self, thing: str, hand: Vector, end: Vector) -> float:
        """Height of the hand at which it and what it holds pass over everything on the way."""
        others = self.scene.others(thing)
        low, high = self.scene.boxes(thing).low, self.scene.boxes(thing).high
        hangs, width = float(hand[2] - low[2]), float(max((high - low)[:2])) / 2
        under = tallest(others, hand, end, width) + hangs
        over = max(under, tallest(others, hand, end, PALM_WIDTH) - PALM) + ROOM
        return over if np.isfinite(over) else float(hand[2])

    def held(self, thing: str) -> Vector:
        """Where a thing is in the hand's frame [3] (m)."""
        hand, rotation = self.scene.hand()
        return np.asarray(rotation.T @ (self.scene.position(thing) - hand))

    def check(self, thing: str, held: Vector) -> None:
        """Missed if a thing is no longer where it was ``held``."""
        if float(np.linalg.norm(self.held(thing) - held)) > SLIPPED:
            raise Missed(f"{thing} slipped from the hand")

    def _lower(self, errand: Errand, rotation: Vector, held: Vector) -> Course:
        scene, thing = self.scene, errand.thing
        resting, done = 0, 0
        last = float(scene.hand()[0][2])
        for step in range(LOWER_STEPS):
            hand, _ = scene.hand()
            target = self._spot(errand) + hand - scene.position(thing)
            target[2] = hand[2] - 0.035
            yield "lower", self.arm.to(target, rotation, CLOSED, speed=0.45)
            height = float(scene.hand()[0][2])
            resting = resting + 1 if step > 4 and last - height < REST else 0
            last = height
            done = done + 1 if scene.holds(errand.condition) else 0
            if resting >= 3 or done >= 4:
                return
            self.check(thing, held)

    def release(self, errand: Errand, rotation: Vector, away: Vector = UP) -> Course:
        """Open the hand and leave along ``away`` [3]; Missed if the condition does not hold then."""
        yield from self.arm.let_go(rotation, away)
        if not self.scene.holds(errand.condition):
            raise Missed(f"{errand.thing} is not where it should be")

    # ---- where to

    def _spot(self, errand: Errand) -> Vector:
        """Where the thing's origin is to be [3] (m); of its height nothing is said."""
        region = self.scene.region(errand.target)
        if region is None:
            return self.scene.position(errand.target)
        region = self.scene.uncovered(region)
        together = companions(self.scene.goal, errand.condition)
        return region.center + shared(
            region,
            together.index(errand.thing) if errand.thing in together else 0,
            len(together),
            self.scene.boxes(errand.thing),
        )

    def _turn(self, errand: Errand, yaw: float) -> float:
        """How far to turn the hand so that the thing goes into a narrow region (rad); 0 where it fits anyhow."""
        region = self.scene.region(errand.target)
        if region is None or errand.condition[0] != "in":
            return 0.0
        long, half, _ = rectangle(self.scene.boxes(errand.thing).points(0.01)[:, :2])
        if half[0] < min(region.half[:2]):
            return 0.0
        wanted = 0.0 if region.half[0] > region.half[1] else np.pi / 2
        turn = half_turn(wanted - long)
        if abs(yaw + turn - self.rest_yaw) > LARGEST_TURN:
            turn -= float(np.sign(turn)) * np.pi
        return turn


def shared(region: Region, index: int, number: int, thing: Boxes) -> Vector:
    """The offset [3] (m) from a region's middle of the ``index``-th of ``number`` things that share it.

    They stand side by side along the axis on which they are narrow.
    """
    offset: Vector = np.zeros(3)
    if number > 1:
        size = (thing.high - thing.low)[:2]
        axis = int(np.argmin(size - 0.01 * (region.half[:2] == region.half[:2].max())))
        space = max(2 * region.half[axis] / number, float(size[axis]) + 0.008)
        space = min(space, 2 * NARROW * region.half[axis] / (number - 1))
        offset[axis] = (index - (number - 1) / 2) * space
    return offset
