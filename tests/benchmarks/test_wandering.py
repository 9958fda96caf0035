from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from world_modality.benchmarks.wandering import PATIENCE, Wanderer
from world_modality.facts.benchmarks import LIBERO_ACTION

STEP = 0.03  # m that an action of 1 moves the hand


@dataclass
class Room:
    """A hand that goes where it is told among two things that stay."""

    place: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 0.3]))
    objects: tuple[str, ...] = ("one", "other")

    def hand(self) -> tuple[np.ndarray, np.ndarray]:
        return self.place.copy(), np.eye(3)

    def poses(self) -> Mapping[str, np.ndarray]:
        return {"one": np.array([0.2, 0.1, 0, 1, 0, 0, 0]), "other": np.array([-0.2, 0.0, 0, 1, 0, 0, 0])}

    def move(self, action: np.ndarray) -> None:
        self.place = self.place + STEP * action[:3]


def wander(seed: int, steps: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Places of the hand [n, 3] and actions [n, 7]."""
    room: Any = Room()
    wanderer = Wanderer(room, np.random.default_rng(seed), LIBERO_ACTION)
    places, actions = [], []
    for _ in range(steps):
        actions.append(wanderer.act())
        places.append(room.place)
        room.move(actions[-1])
    return np.array(places), np.array(actions)


def test_the_hand_comes_to_things_and_leaves_them_and_grips_now_and_then() -> None:
    places, actions = wander(0)
    assert np.abs(actions).max() <= 1
    for thing in ((0.2, 0.1, 0.0), (-0.2, 0.0, 0.0)):
        distance = np.linalg.norm(places - thing, axis=1)
        assert distance.min() < 0.1
        assert distance.max() > 0.3
    assert set(np.unique(actions[:, 6])) == {-1.0, 1.0}
    assert 3 < np.count_nonzero(np.diff(actions[:, 6])) < 600 / 5
    assert places[:, 2].max() < 0.5


def test_it_moves_smoothly_and_by_its_seed_alone() -> None:
    places, actions = wander(1)
    assert np.median(np.abs(np.diff(actions[:, :3], axis=0)).max(axis=1)) < 0.2
    again, other = wander(1)[0], wander(2)[0]
    assert np.array_equal(again, places)
    assert not np.allclose(other[PATIENCE], places[PATIENCE])
