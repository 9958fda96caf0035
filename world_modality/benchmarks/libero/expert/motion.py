"""How the hand is driven to a pose by relative actions, and how high it must go to pass over what stands there."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.libero.expert.boxes import Boxes, Vector, rotation_vector
from world_modality.benchmarks.libero.expert.scene import Scene
from world_modality.facts.benchmarks import LIBERO_ACTION

Action = NDArray[np.float32]
type Finding[T] = Generator[tuple[str, Action], None, T]
"""Phase and action of every control step, and what they found out in the end.

What comes after a yield sees the state that the action led to.
"""
type Course = Finding[None]
"""The same without a finding."""

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


class Missed(Exception):
    """What was tried did not work: the thing slipped, or is not where it should be."""


class Arm:
    """Actions that take the hand somewhere; keeps what the controller needs on top of the error."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._offset: Vector = np.zeros(3)
        self._last: Vector = np.full(3, np.inf)

    def to(self, point: Vector, rotation: Vector, gripper: float, speed: float = 1.0) -> Action:
        """The action [7] towards a position (m) and rotation of the hand, no translation larger than ``speed``."""
        position, turned = self._scene.hand()
        error = point - position
        resting = float(np.linalg.norm(position - self._last)) < STALL_SPEED
        if resting and np.abs(error).max() < STALL_RANGE:
            self._offset = np.clip(self._offset + STALL_GAIN * error, -STALL_LIMIT, STALL_LIMIT)
        elif not resting:
            self._offset = STALL_DECAY * self._offset
        self._last = position
        step = (error + self._offset) * GAIN
        step *= min(1.0, speed / max(float(np.abs(step).max()), 1e-9))
        turn = rotation_vector(rotation @ turned.T) * TURN_GAIN
        turn *= min(1.0, TURN_LIMIT / max(float(np.abs(turn).max()), 1e-9))
        action = np.concatenate([step, turn, [gripper]])
        return np.clip(action, LIBERO_ACTION.low, LIBERO_ACTION.high).astype(np.float32)

    def let_go(self, rotation: Vector, away: Vector) -> Course:
        """Open the hand where it is and leave along ``away`` [3]."""
        anchor, _ = self._scene.hand()
        for _ in range(8):
            yield "open", self.to(anchor, rotation, OPEN)
        for _ in range(14):
            if float((self._scene.hand()[0] - anchor) @ away) > 0.06:
                break
            yield "retreat", self.to(anchor + 0.1 * away, rotation, OPEN)

    def turned_by(self, rotation: Vector) -> float:
        """Angle (rad) between the hand's rotation and this one."""
        return float(np.linalg.norm(rotation_vector(rotation @ self._scene.hand()[1].T)))


def way_out(thing: Boxes, others: Boxes, room: float) -> Vector:
    """The shortest move [3] along x or y after which nothing of ``others`` is within ``room`` (m) over a thing."""
    first, last = thing.low, thing.high
    low, high = others.bounds
    over = np.all((low[:, :2] < last[:2] + room) & (high[:, :2] > first[:2] - room), axis=1) & (low[:, 2] > last[2])
    move: Vector = np.zeros(3)
    if over.any():
        back = (first - high[over].max(axis=0) - room)[:2]  # what it overlaps, towards larger x and y
        on = (last - low[over].min(axis=0) + room)[:2]
        choices = np.concatenate([-back, -on])
        best = int(np.argmin(np.abs(choices)))
        move[best % 2] = choices[best]
    return move


def tallest(boxes: Boxes, start: Vector, end: Vector, width: float) -> float:
    """The highest top of the boxes that come, seen from above, within ``width`` (m) of the way between two points.

    Minus infinity if none does.
    """
    low, high = boxes.bounds
    way = end[:2] - start[:2]
    entry: Vector = np.zeros(len(boxes))
    leave: Vector = np.ones(len(boxes))
    for axis in range(2):
        near, far = low[:, axis] - width - start[axis], high[:, axis] + width - start[axis]
        if abs(way[axis]) < 1e-6:
            apart = (near > 0) | (far < 0)
            entry, leave = np.where(apart, 2.0, entry), np.where(apart, -1.0, leave)
            continue
        first, second = near / way[axis], far / way[axis]
        entry = np.maximum(entry, np.minimum(first, second))
        leave = np.minimum(leave, np.maximum(first, second))
    met = high[entry <= leave, 2]
    return float(met.max(initial=-np.inf))
