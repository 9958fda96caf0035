"""Distances to the goal on their way from the simulator into records: at the start, at the least and at the end."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.toy_world import SUITE, ToyWorld, toy_cell, toy_spec

from world_modality.benchmarks.contract import Measured
from world_modality.rollout.episodes import Episode
from world_modality.rollout.messages import Act, Begin, Way, onward
from world_modality.rollout.records import from_line, to_line
from world_modality.rollout.trajectory import Trajectory
from world_modality.rollout.worker import Clock, act, begin, measured

Distances = st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=12)


@given(values=Distances, cuts=st.sets(st.integers(1, 11)))
def test_it_does_not_matter_how_an_episode_is_cut_into_commands(values: list[float], cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(values)), len(values)]
    commands = [values[start:end] for start, end in pairwise(edges)]
    ways = [reduce(onward, ({"goal": Way(value, value, value)} for value in each), {}) for each in commands]
    assert reduce(onward, ways, {}) == {"goal": Way(values[0], min(values), values[-1])}


def test_a_part_that_is_told_later_starts_then_and_what_is_not_told_leaves_all_as_it_was() -> None:
    early, late = {"bowl": Way(1.0, 0.5, 0.7)}, {"bowl": Way(0.6, 0.4, 0.9), "knob": Way(1.0, 1.0, 1.0)}
    assert onward(early, late) == {"bowl": Way(1.0, 0.4, 0.9), "knob": Way(1.0, 1.0, 1.0)}
    assert onward(early, {}) == early
    assert onward(onward(early, {}), late)["bowl"] == Way(1.0, 0.4, 0.9)
    assert onward({}, {}) == {}


def played(simulator: Any, chunks: list[np.ndarray]) -> Trajectory:
    """An episode's trajectory through a worker's own functions."""
    trajectory = Trajectory(0, Episode(1, 7, 0), 5, SUITE, 3, 20, 0, None, 0.0)
    trajectory.advance(begin(simulator, Begin(0, 1, 7, 5), Clock()))
    for chunk in chunks:
        if not trajectory.over:
            trajectory.advance(act(simulator, Act(0, chunk, (), (), (), observe=True)))
    return trajectory


def test_a_record_holds_start_least_and_end() -> None:
    chunks = [np.full((3, SUITE.action.size), value, np.float32) for value in (0.5, -1.0, 0.25)]
    world = ToyWorld()
    assert isinstance(world, Measured)
    world.reset(7, 5)
    seen = [world.goal_distances()["point at goal"]]
    for action in np.concatenate(chunks):
        if world.step(action).success:
            break
        seen.append(world.goal_distances()["point at goal"])
    record = toy_cell(toy_spec()).record(played(ToyWorld(), chunks), ())
    assert not record.success
    assert record.distances == {"point at goal": pytest.approx([seen[0], min(seen), seen[-1]], abs=1e-5)}
    again = from_line(to_line(record))
    assert again == record
    assert again.distances_text == record.distances_text


def test_a_simulator_that_cannot_tell_leaves_no_trace() -> None:
    class Silent(ToyWorld):
        goal_distances = None  # as if it had none

        def __getattribute__(self, name: str) -> Any:
            if name == "goal_distances":
                raise AttributeError(name)
            return super().__getattribute__(name)

    silent = Silent()
    assert not isinstance(silent, Measured)
    silent.reset(7, 5)
    assert measured(silent) == {}
    chunks = [np.zeros((3, SUITE.action.size), np.float32)]
    assert toy_cell(toy_spec()).record(played(Silent(), chunks), ()).distances == {}
