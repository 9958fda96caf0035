"""How a goal moves: at a constant speed inside a rectangle, whose sides throw it back.

Where it starts is drawn from the initial state, and which way and how fast it goes from the episode's seed. Start and
direction are uniform, so that at any later moment, too, the place says nothing about the direction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from world_modality.store.keys import keyed_seed

Pair = tuple[float, float]
"""Along the world's x and y."""


@dataclass(frozen=True)
class Field:
    """Where a goal may be, and how fast."""

    low: Pair
    """The least x and y of its origin (m),"""
    high: Pair
    """and the greatest; equal ones keep it on a line."""
    speeds: Pair
    """Least and greatest speed (m/s)."""

    @property
    def center(self) -> Pair:
        """The middle (m)."""
        return (self.low[0] + self.high[0]) / 2, (self.low[1] + self.high[1]) / 2


@dataclass(frozen=True)
class Motion:
    """The motion of one episode."""

    field: Field
    start: Pair
    """At time 0 (m)."""
    velocity: Pair
    """At time 0 (m/s)."""

    def at(self, time: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position [2] (m) and velocity [2] (m/s) at a time (s) after the motion's beginning."""
        low, high = self.field.low, self.field.high
        found = [_thrown_back(low[axis], high[axis], self.start[axis], self.velocity[axis], time) for axis in (0, 1)]
        place, velocity = zip(*found, strict=True)
        return np.array(place), np.array(velocity)

    def turned_round(self) -> Motion:
        """The motion from the same place in the opposite direction."""
        return replace(self, velocity=(-self.velocity[0], -self.velocity[1]))


def drawn(field: Field, init_state_digest: str, seed: int) -> Motion:
    """The motion of the episode that starts from an initial state with a seed."""
    place = np.random.default_rng(keyed_seed("where a goal starts", init_state_digest))
    start = place.uniform(field.low, field.high)
    way = np.random.default_rng(keyed_seed("where a goal goes", seed))
    angle, speed = way.uniform(0.0, 2.0 * np.pi), way.uniform(*field.speeds)
    direction = np.array([np.cos(angle), np.sin(angle)]) * (np.array(field.high) > np.array(field.low))
    velocity = speed * direction / np.linalg.norm(direction)
    return Motion(field, (float(start[0]), float(start[1])), (float(velocity[0]), float(velocity[1])))


def _thrown_back(low: float, high: float, start: float, velocity: float, time: float) -> Pair:
    """Place and velocity along one axis between two walls."""
    width = high - low
    if width == 0.0:
        return low, 0.0
    way = (start - low + velocity * time) % (2.0 * width)
    return (low + way, velocity) if way < width else (high + width - way, -velocity)
