"""Random smooth motion of the hand: from place to place, to things and away from them, fast and slowly.

For pictures of what demonstrations never show: pushes, misses, a hand anywhere.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from world_modality.benchmarks.contract import Action, Simulator, Tangible
from world_modality.facts.benchmarks import ActionLayout

TO_THINGS = 0.6  # share of the places that are at a thing
BESIDE = 0.03  # m: standard deviation of such a place, sideways
HEIGHTS = (-0.02, 0.12)  # m over a thing's origin
ROOM = 0.12  # m around all things in which any other place lies,
CEILING = 0.35  # m and over the lowest of them
NEAR = 0.05  # m: from here on the hand slows down
REACHED = 0.02  # m
PATIENCE = 30  # control steps after which another place is chosen, reached or not
SPEEDS = (0.2, 1.0)  # of the largest action
SMOOTH = 0.6  # of the action before, in each action
GRIPS = 0.4  # probability that the hand opens or closes at a place
TURNS = 0.15  # standard deviation of the numbers that turn the hand, which change as slowly


class Movable(Simulator, Tangible, Protocol):
    """A simulator that tells where things and hand are."""


class Wanderer:
    """Drives the first three numbers of an action, which move the hand, and opens and closes it."""

    def __init__(self, simulator: Movable, rng: np.random.Generator, layout: ActionLayout) -> None:
        """Begin where the hand is; the simulator must have been reset."""
        self._simulator, self._rng, self._layout = simulator, rng, layout
        self._action = np.array(layout.no_op, dtype=np.float64)
        self._choose()

    def act(self) -> Action:
        """The next action [A]; called once per control step."""
        hand, _ = self._simulator.hand()
        error = self._place - hand
        far = float(np.abs(error).max())
        self._left -= 1
        if far < REACHED or not self._left:
            self._choose()
        gripper = self._layout.gripper
        moving = [number for number in range(self._layout.size) if gripper is None or number != gripper.index]
        wanted = np.zeros(len(moving))
        wanted[:3] = self._speed * error / max(far, NEAR)
        wanted[3:] = TURNS * self._rng.normal(size=len(moving) - 3) / np.sqrt(1 - SMOOTH)
        self._action[moving] = SMOOTH * self._action[moving] + (1 - SMOOTH) * wanted
        return np.clip(self._action, self._layout.low, self._layout.high).astype(np.float32)

    def _choose(self) -> None:
        """Another place, speed and maybe grip."""
        poses = self._simulator.poses()
        things = np.stack([poses[name][:3] for name in self._simulator.objects])
        if self._rng.random() < TO_THINGS:
            aside = np.array([*self._rng.normal(scale=BESIDE, size=2), self._rng.uniform(*HEIGHTS)])
            self._place = things[self._rng.integers(len(things))] + aside
        else:
            low, high = things.min(axis=0) - ROOM, things.max(axis=0) + ROOM
            low[2], high[2] = low[2] + ROOM, low[2] + ROOM + CEILING
            self._place = self._rng.uniform(low, high)
        self._speed = self._rng.uniform(*SPEEDS)
        self._left = PATIENCE
        gripper = self._layout.gripper
        if gripper is not None and self._rng.random() < GRIPS:
            shut = self._action[gripper.index] == gripper.closed
            self._action[gripper.index] = gripper.open if shut else gripper.closed
