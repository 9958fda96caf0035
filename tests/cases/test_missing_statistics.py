"""SmolVLA checkpoints whose saved normaliser has no statistics under the names that its features have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.begun_rollout import BegunRollout
from support.command_line import INSPECT, assert_refused, assert_told, wm
from support.given_inputs import Tensors, checkpoint_copy, edit_statistics

Change = Callable[[Tensors], Tensors]


def prefixed(statistics: Tensors) -> Tensors:
    """One prefix per robot, as older checkpoints of several robots have."""
    return {f"so100.buffer.{name}": value for name, value in statistics.items()}


def of_pictures_alone(statistics: Tensors) -> Tensors:
    return {name: value for name, value in statistics.items() if not name.startswith(("observation.state", "action"))}


def none(statistics: Tensors) -> Tensors:
    return {}


def without(place: Path, change: Change) -> Path:
    checkpoint = checkpoint_copy(place / change.__name__)
    edit_statistics(checkpoint, change)
    return checkpoint


@pytest.mark.parametrize(
    ("change", "found"), [(prefixed, "so100.buffer.observation.state"), (of_pictures_alone, ""), (none, "")]
)
def test_a_normalised_feature_without_statistics_is_refused(
    place: Path, rollout: BegunRollout, change: Change, found: str
) -> None:
    """Feature and keys found are named, before a simulator starts; the prefix is one that a rename would settle."""
    checkpoint = without(place, change)
    assert_refused(rollout(checkpoint), str(checkpoint), "observation.state", found)
    assert not rollout.began


@pytest.mark.parametrize("change", [prefixed, of_pictures_alone, none])
def test_inspecting_the_checkpoint_tells_it(place: Path, change: Change) -> None:
    assert_told(wm(INSPECT, without(place, change)), "statistics", "observation.state")


def test_the_whole_checkpoint_is_rolled_out(place: Path, rollout: BegunRollout) -> None:
    rollout(checkpoint_copy(place / "whole"))
    assert rollout.began
    assert rollout.chunk is not None


def test_the_rename_that_is_offered_settles_it(place: Path, rollout: BegunRollout) -> None:
    rollout(checkpoint_copy(place / "whole"))
    expected = rollout.chunk
    assert expected is not None
    names = {f"so100.buffer.{name}": name for name in ("observation.state", "action")}
    rollout(without(place, prefixed), "--rename", json.dumps(names))
    assert rollout.chunk is not None
    assert np.array_equal(rollout.chunk, expected)
