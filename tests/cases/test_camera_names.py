"""Checkpoints that look at camera1, camera2 and perhaps camera3, as SmolVLA's published base does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.begun_rollout import BegunRollout
from support.command_line import assert_refused
from support.given_inputs import POSTPROCESSOR, PREPROCESSOR, checkpoint_copy, edit_json

NAMES = {
    f"observation.images.{ours}": f"observation.images.{theirs}"
    for ours, theirs in (("image", "camera1"), ("image2", "camera2"))
}
THIRD = "observation.images.camera3"


def renamed(place: Path, *, third: bool = False, empty: int = 0) -> Path:
    """The embedded policy with its cameras renamed, a third camera added, and so many that may be empty."""
    checkpoint = checkpoint_copy(place / "renamed")

    def rename(config: dict[str, Any]) -> None:
        features = config["input_features"]
        config["input_features"] = {NAMES.get(name, name): feature for name, feature in features.items()}
        if third:
            config["input_features"][THIRD] = features["observation.images.image"]
        config["empty_cameras"] = empty

    def rename_in_steps(pipeline: dict[str, Any]) -> None:
        for step in pipeline["steps"]:
            features = step["config"].get("features", {})
            for ours in NAMES.keys() & features.keys():
                features[NAMES[ours]] = features.pop(ours)

    edit_json(checkpoint / "config.json", rename)
    for name in (PREPROCESSOR, POSTPROCESSOR):
        edit_json(checkpoint / name, rename_in_steps)
    return checkpoint


@pytest.mark.parametrize(("third", "empty"), [(False, 0), (True, 1)])
def test_cameras_are_matched_by_order_and_an_allowed_one_stays_empty(
    place: Path, rollout: BegunRollout, third: bool, empty: int
) -> None:
    """The policy then does what it does under the simulator's names, and the user is told of the rename."""
    original = checkpoint_copy(place / "original")
    edit_json(original / "config.json", lambda config: config.update(empty_cameras=empty))
    rollout(original)
    expected = rollout.chunk
    assert expected is not None
    outcome = rollout(renamed(place, third=third, empty=empty))
    assert rollout.chunk is not None
    assert np.array_equal(rollout.chunk, expected)
    for ours, theirs in NAMES.items():
        assert any(
            ours.rpartition(".")[2] in line and theirs.rpartition(".")[2] in line
            for line in outcome.printed.splitlines()
        ), outcome.printed


def test_a_camera_that_may_not_be_empty_is_refused_before_simulating(place: Path, rollout: BegunRollout) -> None:
    checkpoint = renamed(place, third=True)
    assert_refused(rollout(checkpoint), THIRD)
    assert not rollout.began
