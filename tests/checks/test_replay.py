"""Judging where recorded actions lead: the same way has no finding, and every other one says what it was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from world_modality.checks.replay import STEPS, Replayed, replay_findings
from world_modality.facts.benchmarks import SUITES

SUITE = SUITES["libero_spatial"]
WAY = np.array([0.10, 0.22, -0.14])
States = NDArray[np.float64]


def states(way: States, start: States | None = None) -> States:
    """A hand that goes ``way`` [3] evenly; the other five numbers of the state stay."""
    begin = np.concatenate([[-0.2, 0.0, 1.2] if start is None else start, [3.1, 0.0, -0.1, 0.04, -0.04]])
    path: States = begin + np.linspace(0, 1, STEPS + 1)[:, None] * np.concatenate([way, np.zeros(5)])
    return path


def findings(*pairs: tuple[States, States]) -> list[tuple[str, str]]:
    replays = [Replayed(number, states(one), states(other)) for number, (one, other) in enumerate(pairs)]
    return [(each.level, each.message) for each in replay_findings(replays, SUITE)]


@settings(deadline=None)
@given(noise=st.integers(0, 1000), start=st.floats(-0.3, 0.3))
def test_the_recorded_way_has_no_finding_wherever_it_begins(noise: int, start: float) -> None:
    rng = np.random.default_rng(noise)
    other = states(WAY + rng.normal(0, 0.02, 3), np.array([start, -start, 1.0]))
    assert not [*replay_findings([Replayed(0, states(WAY), other)], SUITE)]


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        (lambda way: way * [1, -1, 1], "error", "y +0.23 as recorded and -0.23 in the simulator"),
        (lambda way: way * [1, -1, 1], "error", "they fit with y as -y: put"),
        (lambda way: way * [1, 1, -1], "error", "they fit with z as -z: put"),
        (lambda way: way[[1, 0, 2]], "error", "they fit with x as y, y as x: put"),
        (lambda way: way[[2, 1, 0]] * [1, 1, -1], "error", "they fit with x as -z, z as x: put"),
        (lambda way: -way, "error", "cosine -1.00"),
        (lambda way: way / 4, "error", "0.2 times as far): see their scale, the controller"),
        (lambda way: way / 1000, "error", "0.0 times as far): see their scale, the controller"),
        (lambda way: way * 0, "error", "0.0 times as far): see their scale, the controller"),
        (lambda way: way * 2, "warning", "2.0 times as far): see their scale, the controller"),
    ],
)
def test_another_way_is_told(change: Callable[[States], States], level: str, said: str) -> None:
    ((found, message),) = findings((WAY, change(WAY)), (WAY * 1.1, change(WAY * 1.1)))
    assert found == level
    assert said in message
    assert "2 episodes" in message


def test_hands_that_rested_tell_nothing_and_one_odd_episode_of_three_neither() -> None:
    assert findings((WAY / 100, -WAY / 100)) == []
    assert findings((WAY, WAY), (WAY, WAY), (WAY, -WAY)) == []
