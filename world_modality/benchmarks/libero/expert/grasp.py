"""Where to grip a thing: found from its collision boxes and those of its neighbours, for a hand that points down.

The hand's frame: fingers move along its first axis, its third one points down; heights are those of the point between
the fingers. Lengths are the Panda gripper's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from world_modality.benchmarks.libero.expert.boxes import Boxes, Vector, about_z, half_turn, rectangle

TIP_ENDS = -0.0100  # m above the hand's point: the lowest part of the fingers that closes on a thing
PADS = (-0.0045, 0.0125)  # the part of them that is made for it
TIPS_HOLD = 0.6  # of what the pads do
PAD_WIDTH = 0.008  # half
TIPS = 0.013  # how far the fingers reach below the hand's point
PALM = 0.024  # how far above it the palm begins
HAND_WIDTH, PALM_WIDTH = 0.07, 0.115  # half, of what hangs low and of the palm, on a way
FINGERS = (0.040, 0.062)  # from the hand's point to an open finger's faces
FINGER_WIDTH = 0.010  # half
PALM_SIZE = (0.104, 0.034)  # half, along and across the fingers
REACH = 0.25  # how far away a neighbour can be in the hand's way
WIDEST = 0.068  # of what fits between the fingers with some room
LEAST_GAP = 0.008  # between two walls that are not one thing to grip
YAWS = 24
OFFSETS = np.arange(-0.088, 0.089, 0.008)  # of the grip from the middle, across the fingers
LEAST_HOLD = 0.005  # m of a thing that the fingers must reach below its top
HEIGHT_STEP = 0.004
FLOOR_GAP = 0.001  # between fingertips and what the thing stands on

ROOM = ((0.015, 0.0), (0.008, 0.15), (0.003, 0.4), (0.0, 2.0))  # room around the hand -> what it costs
BLOCKED = 4.0
OWN_ROOM = 0.002
COST_OFF_CENTER = 14.0  # per metre between the grip and the centre of mass, sideways
COST_TURN = 0.35  # per radian that the hand turns
COST_LOOSE = 2.0  # for pads that hold nothing, less the more they hold
COST_ABOVE = 3.0  # per metre of the grip above the centre of mass
COST_WIDE = 0.4  # for the widest thing that fits
COST_SKEW = 100.0  # per metre that the gripped faces run away from the pads, left to right
COST_TRIED = 1.0  # near a grip that failed
CHECKED = 3000  # candidates whose room is looked at, cheapest first
KEPT = 8


@dataclass(frozen=True)
class Grasp:
    """A grip: where the hand's point and the direction of its fingers are to be."""

    point: Vector
    """[3] (m), world"""
    yaw: float
    """Of the direction in which the fingers move (rad, world)."""
    hold: float
    """How much of the pads is on the thing, 0 to 1."""
    cost: float
    taken_over: bool = False
    """Whether somebody else has made it, who may have raised the thing already."""

    @property
    def rotation(self) -> Vector:
        """The hand's rotation [3, 3]."""
        return downward(self.yaw)


def downward(yaw: float) -> Vector:
    """Rotation [3, 3] of a hand that points down and whose fingers move along ``yaw`` (rad)."""
    return np.asarray(about_z(yaw) @ np.diag([1.0, -1.0, -1.0]))


def lowest(cloud: Vector, grasp: Grasp, room: float) -> float:
    """The lowest height of the hand's point at which an open hand from above keeps ``room`` to points [m, 3]."""
    local = np.abs((cloud[:, :2] - grasp.point[:2]) @ about_z(grasp.yaw)[:2, :2])
    palm = (local[:, 0] < PALM_SIZE[0] + room) & (local[:, 1] < PALM_SIZE[1] + room)
    in_reach = (local[:, 0] > FINGERS[0] - room) & (local[:, 0] < FINGERS[1] + room)
    fingers = in_reach & (local[:, 1] < FINGER_WIDTH + room)
    over_palm = cloud[palm, 2].max(initial=-np.inf) - PALM
    over_tips = cloud[fingers, 2].max(initial=-np.inf) + TIPS
    return float(max(over_palm, over_tips)) + room


def grasps(
    thing: Boxes,
    neighbours: Boxes,
    mass_center: Vector,
    rest_yaw: float,
    tried: Sequence[Grasp] = (),
    *,
    wanted: Callable[[Grasp], bool] | None = None,
) -> list[Grasp]:
    """Grips of a thing, the best first; empty if nothing of it fits between the fingers.

    Args:
        thing: its shapes as it lies.
        neighbours: the shapes of everything else that the hand could touch.
        mass_center: [3] (m), of the thing.
        rest_yaw: of the hand now, from which it would have to turn.
        tried: grips that failed, to be avoided.
        wanted: which grips will do; all by default.
    """
    cloud = thing.points(0.005)
    floor = float(thing.low[2])
    first, _, _ = rectangle(cloud[:, :2])  # a box is gripped along its edges
    candidates = [
        grasp
        for turn in range(YAWS)
        for grasp in _along(cloud, mass_center, half_turn(first + turn * np.pi / YAWS), rest_yaw, floor)
    ]
    candidates = [grasp for grasp in candidates if wanted is None or wanted(grasp)]
    candidates.sort(key=lambda grasp: grasp.cost)
    near = neighbours.near(mass_center, REACH).points(0.012)
    judged: list[Grasp] = []
    for grasp in candidates[:CHECKED]:
        if len(judged) >= KEPT and grasp.cost > sorted(each.cost for each in judged)[KEPT - 1]:
            break  # whatever comes now costs more
        cost = grasp.cost + room_cost(grasp, cloud, near) + sum(COST_TRIED for other in tried if _alike(grasp, other))
        judged.append(replace(grasp, cost=cost))
    return sorted(judged, key=lambda grasp: grasp.cost)[:KEPT]


def room_cost(grasp: Grasp, thing: Vector, neighbours: Vector) -> float:
    """What it costs that the open hand, on its way down, comes close to points [m, 3] at a grip, or touches them."""
    if lowest(thing, grasp, OWN_ROOM) > grasp.point[2] + OWN_ROOM:
        return BLOCKED
    for room, cost in ROOM:
        if lowest(neighbours, grasp, room) <= grasp.point[2]:
            return cost
    return BLOCKED


def _alike(one: Grasp, other: Grasp) -> bool:
    close = float(np.linalg.norm(one.point - other.point)) < 0.015
    return close and abs(half_turn(one.yaw - other.yaw)) < np.radians(20)


def _along(cloud: Vector, mass_center: Vector, yaw: float, rest_yaw: float, floor: float) -> list[Grasp]:
    """Grips with the fingers along ``yaw``, without regard to what else is there."""
    found = []
    local = (cloud - mass_center) @ about_z(yaw)
    reach = float(np.abs(local[:, 1]).max())
    offsets = [float(offset) for offset in OFFSETS if abs(offset) < reach]
    turn = abs(half_turn(yaw - rest_yaw))
    top = float(cloud[:, 2].max())
    heights = np.arange(floor + TIPS + FLOOR_GAP, top - TIP_ENDS - LEAST_HOLD, HEIGHT_STEP)
    for offset in offsets:
        slab = local[np.abs(local[:, 1] - offset) < PAD_WIDTH]
        for height in heights:
            low, high = height + TIP_ENDS - mass_center[2], height + PADS[1] - mass_center[2]
            between = slab[(slab[:, 2] >= low) & (slab[:, 2] <= high)]
            for part in _clusters(between):
                width = float(np.ptp(part[:, 0]))
                if width > WIDEST:
                    continue
                middle = float(part[:, 0].min() + width / 2)
                hold = _hold(part, height - mass_center[2])
                cost = (
                    COST_OFF_CENTER * float(np.hypot(middle, offset))
                    + COST_TURN * turn
                    + COST_LOOSE * (1.0 - hold)
                    + COST_ABOVE * abs(height - mass_center[2])
                    + COST_WIDE * width / WIDEST
                    + COST_SKEW * _skew(part, offset)
                )
                point = mass_center + about_z(yaw) @ np.array([middle, offset, 0.0])
                found.append(Grasp(np.append(point[:2], height), yaw, hold, cost))
    return found


def _hold(part: Vector, height: float) -> float:
    """How much of the fingers is on points [m, 3] between them, at a height of the hand's point: 0 to 1."""
    full = 0.8 * (PADS[1] - PADS[0])
    on_pads = part[part[:, 2] >= height + PADS[0], 2]
    upright = max(float(np.ptp(on_pads)) if len(on_pads) else 0.0, TIPS_HOLD * float(np.ptp(part[:, 2]))) / full
    return min(1.0, upright) * min(1.0, float(np.ptp(part[:, 1])) / (1.3 * PAD_WIDTH))


def _skew(part: Vector, offset: float) -> float:
    """How far both faces of what is between the pads run from left to right, less what is alike on both (m)."""
    left, right = part[part[:, 1] < offset, 0], part[part[:, 1] >= offset, 0]
    if len(left) == 0 or len(right) == 0:
        return PAD_WIDTH
    return abs(float(left.min() - right.min())) + abs(float(left.max() - right.max()))


def _clusters(points: Vector) -> list[Vector]:
    """Points [m, 3] cut along the first axis wherever there is a gap for a finger's way."""
    if len(points) == 0:
        return []
    ordered = points[np.argsort(points[:, 0], kind="stable")]
    cuts = np.flatnonzero(np.diff(ordered[:, 0]) > LEAST_GAP) + 1
    return np.split(ordered, cuts)
