"""Checkpoints that look at camera1, camera2 and perhaps camera3, as SmolVLA's published base does."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("placed", ["typed", "in the folder"])
def test_what_the_user_says_goes_before_the_order(place: Path, rollout: BegunRollout, placed: str) -> None:
    """Cameras that change places twice are where they were."""
    checkpoint = renamed(place)
    rollout(checkpoint)
    by_order = rollout.chunk
    swapped = {"image": "camera2", "image2": "camera1"}
    if placed == "typed":
        outcome = rollout(checkpoint, "--rename", json.dumps(swapped), "--output", "swapped")
    else:
        (checkpoint / "rename.json").write_text(json.dumps(swapped))
        outcome = rollout(checkpoint, "--output", "swapped")
    assert rollout.chunk is not None
    assert by_order is not None
    assert not np.array_equal(rollout.chunk, by_order)
    assert "image is the policy's camera2, image2 is the policy's camera1" in outcome.printed
    back = json.dumps({"observation.images.image": "observation.images.camera1"})
    rollout(checkpoint, "--rename", back, "--output", "back")
    assert (rollout.chunk is None) == (placed != "typed"), "in the folder image2 still is camera1"


@pytest.mark.parametrize("rename", ['{"image": "camera7"}', '{"top": "camera1"}', "camera1"])
def test_a_rename_that_does_not_fit_is_refused(place: Path, rollout: BegunRollout, rename: str) -> None:
    assert_refused(rollout(renamed(place), "--rename", rename), "rename")
    assert not rollout.began
