"""A scripted expert that sees the simulator's state: grips the bowl at its rim and sets it on the plate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.libero.noise import ActionNoise, displace_arm
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.facts.benchmarks import LIBERO_ACTION

Vector = NDArray[np.float64]
Phase = Literal["reach", "descend", "close", "lift", "carry", "lower", "open", "retreat", "recover"]

DELICATE: frozenset[Phase] = frozenset({"close", "open", "retreat", "recover"})
"""Phases in which one wrong step ends the attempt: closing and opening the hand, and getting out of a failed grip."""
FINISHING: frozenset[Phase] = frozenset({"open", "retreat"})
"""Phases that begin when it lets go of the bowl, which it takes to be on the plate."""

assert LIBERO_ACTION.gripper is not None
OPEN, CLOSED = LIBERO_ACTION.gripper.open, LIBERO_ACTION.gripper.closed
GAIN = 14.0  # action per metre of error; an action of 1 moves the controller's goal by 5 cm
# Where the arm is stretched, the controller comes to rest centimetres from its goal; an integral term makes up for it.
STALL_GAIN = 0.25  # per step, share of the remaining error that is added
STALL_SPEED = 0.0025  # m per step: slower than this, the arm has come to rest
STALL_RANGE = 0.035  # m: farther from its target than this, something else is in the way
STALL_DECAY = 0.8  # per step while the arm moves
STALL_LIMIT = 0.025  # m
TURN_GAIN = 3.0  # action per radian of error; an action of 1 turns the goal by 0.5 rad
TURN_LIMIT = 0.8

RIM_RADIUS = 0.048  # of the bowl's wall where the fingers take it
GRIP_HEIGHT = 0.031  # of the hand above the bowl's origin while gripping
CLEARANCE = 0.11  # of the hand above the bowl's origin while reaching
DRAWER_CLEARANCE = 0.20
TRAVEL_HEIGHT = 1.03  # lowest world height for moving sideways with an empty hand
CARRY_HEIGHT = 1.05
HELD = 0.085  # a bowl further than this below the hand is not held
ON_TARGET = 0.03  # m, sideways: LIBERO's own limit for "on"
ON_PLATE = 0.015  # height of the bowl's origin over the plate's at which it is let go

FREE_SPACE = 0.12  # more room than this beside the rim is as good as any
CABINET_REACH = 0.30
DRAWER_HEIGHTS = (0.95, 1.10)


@dataclass(frozen=True)
class Sight:
    """World positions [3] (m) that an action depends on."""

    hand: Vector
    bowl: Vector
    plate: Vector


@dataclass(frozen=True)
class Grip:
    """Where to take the rim: direction from the bowl's centre (episode, horizontal) and the hand's rotation."""

    direction: Vector
    rotation: Vector
    turned: bool


class Expert:
    """Solves "pick up the bowl and place it on the plate"; an :class:`~world_modality.benchmarks.contract.Expert`.

    It does what it does from the state alone, except that ``rng`` shifts the grip after a failed one.
    """

    def __init__(self, env: LiberoSimulator, rng: np.random.Generator, noise: float | None = None) -> None:
        """Plan the grip for the scene as it is now, or with ``noise`` as it is after the arm was displaced."""
        self._env = env
        self._rng = rng
        self._noise: ActionNoise | None = None
        if noise is not None:
            displace_arm(env, rng, noise)
            self._noise = ActionNoise(noise, rng)
        _, self._bowl, self._plate = env.goal
        self._grip = choose_grip(env, self._bowl)
        self._grip_shift: Vector = np.zeros(3)
        self._failures = 0
        self._rest_height = float(env.position(self._bowl)[2])
        self._plans: dict[Phase, Callable[[], Vector]] = {
            "reach": self._reach,
            "descend": self._descend,
            "close": self._close,
            "lift": self._lift,
            "carry": self._carry,
            "lower": self._lower,
            "open": self._open,
            "retreat": self._retreat,
            "recover": self._recover,
        }
        self._see = self._look()
        self._offset: Vector = np.zeros(3)  # what the arm needs on top of the error to get to its target
        self._last_hand: Vector = np.full(3, np.inf)
        self._enter("reach")

    @property
    def phase(self) -> Phase:
        """The phase the expert is in after its last action."""
        return self._phase

    def act(self) -> NDArray[np.float32]:
        """The action [7] in [-1, 1] for the current state: translation, rotation, gripper."""
        self._steps += 1
        self._see = see = self._look()
        if self._lost(see):
            self._fail()
        action = self._plans[self._phase]()
        return np.clip(action, LIBERO_ACTION.low, LIBERO_ACTION.high).astype(np.float32)

    @property
    def delicate(self) -> bool:
        """Whether one wrong step in the last action's place would end the attempt."""
        return self._phase in DELICATE

    @property
    def finishing(self) -> bool:
        """Whether it lets go, or has let go, of a bowl that it takes to be on the plate."""
        return self._phase in FINISHING

    def disturb(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action with the present phase's noise."""
        return action if self._noise is None else self._noise.disturb(action, self._phase)

    def _look(self) -> Sight:
        return Sight(self._env.hand()[0], self._env.position(self._bowl), self._env.position(self._plate))

    def _enter(self, phase: Phase) -> None:
        self._phase: Phase = phase
        self._steps = 0
        self._anchor, _ = self._env.hand()

    def _lost(self, see: Sight) -> bool:
        """Whether the bowl slipped from the fingers, or was let go and lies beside the plate."""
        if self._phase in ("lift", "carry", "lower"):
            return self._steps > 8 and float(see.hand[2] - see.bowl[2]) > HELD
        beside = float(np.linalg.norm((see.bowl - see.plate)[:2])) > ON_TARGET
        return self._phase == "retreat" and self._steps > 8 and beside

    def _fail(self) -> None:
        """After a miss or a slip: open, rise, and try again a little elsewhere.

        In the drawer, where its walls may have been in the way, on the other side at once, elsewhere every second time.
        """
        self._failures += 1
        if self._grip.turned or self._failures % 2 == 0:
            self._grip = Grip(-self._grip.direction, self._grip.rotation, self._grip.turned)
        self._grip_shift = np.append(self._rng.uniform(-0.004, 0.004, size=2), 0.0)
        self._enter("recover")

    def _grip_point(self, bowl: Vector, height: float) -> Vector:
        point = bowl + RIM_RADIUS * self._grip.direction + self._grip_shift
        point[2] = height
        return point

    def _move(self, target: Vector, gripper: float, speed: float = 1.0) -> Vector:
        """Action towards a world position, no component larger than ``speed``; turns the hand if the grip needs it."""
        position, rotation = self._env.hand()
        error = target - position
        resting = np.linalg.norm(position - self._last_hand) < STALL_SPEED
        if resting and np.abs(error).max() < STALL_RANGE:
            self._offset = np.clip(self._offset + STALL_GAIN * error, -STALL_LIMIT, STALL_LIMIT)
        elif not resting:
            self._offset = STALL_DECAY * self._offset
        self._last_hand = position
        step = (error + self._offset) * GAIN
        step *= min(1.0, speed / max(float(np.abs(step).max()), 1e-9))
        turn: Vector = np.zeros(3)
        if self._grip.turned:
            turn = rotation_vector(self._grip.rotation @ rotation.T) * TURN_GAIN
        return np.concatenate([step, np.clip(turn, -TURN_LIMIT, TURN_LIMIT), [gripper]])

    def _reach(self) -> Vector:
        clearance = DRAWER_CLEARANCE if self._grip.turned else CLEARANCE
        target = self._grip_point(self._see.bowl, max(self._rest_height + clearance, TRAVEL_HEIGHT))
        sideways = float(np.linalg.norm((self._see.hand - target)[:2]))
        _, rotation = self._env.hand()
        aligned = not self._grip.turned or np.abs(rotation - self._grip.rotation).max() < 0.15
        if sideways < 0.012 and aligned:
            self._enter("descend")
        elif self._see.hand[2] < target[2] - 0.03 and sideways > 0.05:
            return self._move(np.append(self._see.hand[:2], target[2]), OPEN)
        return self._move(target, OPEN)

    def _descend(self) -> Vector:
        target = self._grip_point(self._see.bowl, self._see.bowl[2] + GRIP_HEIGHT)
        arrived = self._see.hand[2] - target[2] < 0.008 and np.linalg.norm((self._see.hand - target)[:2]) < 0.01
        if arrived or self._steps > 40:
            self._enter("close")
        return self._move(target, OPEN, speed=0.6)

    def _close(self) -> Vector:
        if self._steps > 12:
            self._enter("lift")
        return self._move(self._anchor, CLOSED)

    def _lift(self) -> Vector:
        height = max(self._rest_height + 0.16, CARRY_HEIGHT) + (0.06 if self._grip.turned else 0.0)
        if self._see.hand[2] > height - 0.03 or self._steps > 60:
            self._enter("carry")
        return self._move(np.append(self._anchor[:2], height), CLOSED, speed=0.6)

    def _carry(self) -> Vector:
        target = self._see.plate + (self._see.hand - self._see.bowl)
        target[2] = max(CARRY_HEIGHT, self._see.hand[2]) if self._steps < 3 else CARRY_HEIGHT
        if np.linalg.norm((self._see.bowl - self._see.plate)[:2]) < 0.012:
            self._enter("lower")
        return self._move(target, CLOSED, speed=0.55)

    def _lower(self) -> Vector:
        target = self._see.plate + (self._see.hand - self._see.bowl)
        target[2] += 0.012
        if self._see.bowl[2] - self._see.plate[2] < ON_PLATE or self._steps > 45:
            self._enter("open")
        return self._move(target, CLOSED, speed=0.4)

    def _open(self) -> Vector:
        if self._steps > 10:
            self._enter("retreat")
        return self._move(self._anchor, OPEN)

    def _retreat(self) -> Vector:
        return self._move(self._anchor + np.array([0.0, 0.0, 0.1]), OPEN)

    def _recover(self) -> Vector:
        if self._steps > 8:
            self._rest_height = float(self._see.bowl[2])
            self._enter("reach")
        return self._move(self._anchor + np.array([0.0, 0.0, 0.12]), OPEN)


def choose_grip(env: LiberoSimulator, bowl: str) -> Grip:
    """The side of the rim with room for the fingers.

    Along y, as the hand comes, on the +y side if both are free. Beside the cabinet always +y, away from it. In its
    open drawer along x, with the hand turned by a quarter, because the hand is wider than the drawer's opening.
    """
    place = env.position(bowl)
    _, rotation = env.hand()
    cabinets = [name for name in env.fixtures if name.startswith("wooden_cabinet")]
    near = any(np.linalg.norm((env.position(name) - place)[:2]) < CABINET_REACH for name in cabinets)
    if near and DRAWER_HEIGHTS[0] < place[2] < DRAWER_HEIGHTS[1]:
        quarter = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        return Grip(np.array([-1.0, 0.0, 0.0]), quarter @ rotation, turned=True)
    if near and place[2] <= DRAWER_HEIGHTS[0]:
        return Grip(np.array([0.0, 1.0, 0.0]), rotation, turned=False)
    others = [env.position(name) for name in env.objects if name != bowl]

    def room(side: float) -> float:
        fingers = place[:2] + np.array([0.0, side * (RIM_RADIUS + 0.035)])
        return min(FREE_SPACE, *(float(np.linalg.norm(fingers - other[:2])) for other in others))

    side = max((1.0, -1.0), key=room)
    return Grip(np.array([0.0, side, 0.0]), rotation, turned=False)


def rotation_vector(rotation: Vector) -> Vector:
    """Axis times angle (rad) of a rotation matrix [3, 3] that turns by less than half a turn (Rodrigues' formula)."""
    angle = float(np.arccos(np.clip((np.trace(rotation) - 1.0) / 2.0, -1.0, 1.0)))
    if angle < 1e-3:
        return np.zeros(3)
    skew = rotation - rotation.T
    axis = np.array([skew[2, 1], skew[0, 2], skew[1, 0]]) / (2.0 * np.sin(angle))
    return np.asarray(axis * angle)
