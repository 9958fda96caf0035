"""The simulator's cameras under the checkpoint's names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from world_modality.checks.rename import Match, checked_rename, match_cameras, parse_rename
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES

LIBERO = SUITES["libero_spatial"]


def config_of(*cameras: str, empty: int = 0) -> dict[str, Any]:
    pictures = {(name if "." in name else f"observation.images.{name}"): {"type": "VISUAL"} for name in cameras}
    return {"input_features": {**pictures, "observation.state": {"type": "STATE"}}, "empty_cameras": empty}


def match(config: dict[str, Any], asked: dict[str, str] | None = None, trained: dict[str, str] | None = None) -> Match:
    full = checked_rename(asked or {}, "--rename")
    return match_cameras(config, LIBERO, full, checked_rename(trained or {}, "trained"))


@pytest.mark.parametrize(
    ("cameras", "empty", "expected"),
    [
        (["image", "image2"], 0, ""),
        (["image"], 0, ""),  # a policy that looks through one alone
        (["camera1", "camera2"], 0, "image is the policy's camera1, image2 is the policy's camera2"),
        (["camera2", "camera1"], 0, "image is the policy's camera1, image2 is the policy's camera2"),
        (["cam0", "cam1"], 0, "image is the policy's cam0, image2 is the policy's cam1"),
        (["camera1"], 0, "image is the policy's camera1"),
        (["camera1", "camera2", "camera3"], 1, "image2 is the policy's camera2, camera3 stays empty"),
        (["camera1", "camera2", "camera3", "empty_camera_0"], 1, "camera3 stays empty"),
        (["image", "wrist_image"], 0, "image2 is the policy's wrist_image"),
        (["wrist", "top"], 0, "image2 is the policy's wrist, image is the policy's top"),
        (["observation.image"], 0, "image is the policy's observation.image"),
        (["base_0_rgb", "left_wrist_0_rgb"], 0, "image is the policy's base_0_rgb"),
    ],
)
def test_unambiguous_names_are_matched_and_told(cameras: list[str], empty: int, expected: str) -> None:
    found = match(config_of(*cameras, empty=empty))
    assert not found.problem
    assert found.told().endswith(expected) if expected else found.told() == ""
    assert bool(found.rename) == bool(expected)


@pytest.mark.parametrize(
    ("cameras", "empty", "named"),
    [
        (["camera1", "camera2", "camera3"], 0, "observation.images.camera3"),
        (["camera1", "camera2", "camera3", "camera4"], 1, "observation.images.camera3"),
        (["left", "right"], 0, "such as --rename"),
        (["camera1", "camera3"], 0, "such as --rename"),
        (["base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb"], 1, "such as --rename"),
    ],
)
def test_ambiguous_or_missing_ones_are_named(cameras: list[str], empty: int, named: str) -> None:
    assert named in match(config_of(*cameras, empty=empty)).problem


def test_what_is_asked_goes_before_what_would_be_proposed() -> None:
    found = match(config_of("camera1", "camera2"), {"image": "camera2"})
    assert found.rename == {
        "observation.images.image": "observation.images.camera2",
        "observation.images.image2": "observation.images.camera1",
    }
    assert list(found.proposed) == ["observation.images.image2"]
    assert not match(
        config_of("base_0_rgb", "left_wrist_0_rgb", "right_wrist_0_rgb", empty=1), {"image2": "left_wrist_0_rgb"}
    ).problem


def test_the_checkpoint_s_own_rename_comes_after_ours() -> None:
    own = {"image": "camera1", "image2": "camera2"}
    assert match(config_of("camera1", "camera2"), trained=own) == Match({})
    assert match(config_of("camera1", "camera2", "camera3", empty=1), trained=own).told() == "camera3 stays empty"


def test_names_that_no_one_knows_are_refused() -> None:
    assert "the policy has camera1" in match(config_of("camera1"), {"image": "camera7"}).problem
    assert (
        "become the same" in match(config_of("camera1", "camera2"), {"image2": "camera1"}, {"image": "camera1"}).problem
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"image": 1}', '{"image": ""}', '{"image": "a", "image2": "a"}'])
def test_what_is_no_rename_is_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match="--rename"):
        parse_rename(text)


def test_another_suite_s_words_count() -> None:
    swapped = replace(LIBERO, cameras={"image": "wrist camera", "image2": "scene camera"})
    assert (
        match_cameras(config_of("top", "wrist"), swapped, {}, {}).rename["observation.images.image"].endswith("wrist")
    )


def test_a_camera_that_has_the_name_of_its_column_keeps_it() -> None:
    """MetaWorld's one camera is observation.image in LeRobot's environment and in the public dataset."""
    assert match_cameras(config_of("observation.image"), SUITES["metaworld_mt50"], {}, {}) == Match({})
