"""Judging what a dataset holds by its metadata, on a dataset of the public LIBERO set's features."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.given_inputs import edit_json
from support.tiny_dataset import build_tiny_dataset

from world_modality.checks.features import Asked, feature_findings
from world_modality.checks.files import file_findings
from world_modality.checks.timing import rate_findings
from world_modality.data.description import Description, read_description
from world_modality.data.renaming import renamed
from world_modality.facts.benchmarks import SUITES

SUITE = SUITES["libero_spatial"]
IMAGES = ("observation.images.image", "observation.images.image2")
INFO, STATISTICS = "meta/info.json", "meta/stats.json"


def asked(pictures: tuple[str, ...] = IMAGES, cameras: tuple[str, ...] = ()) -> Asked:
    return Asked((SUITE,), {"policy": pictures}, cameras)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("judged") / "whole")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


def with_features(whole: Path, **changes: Any) -> Description:
    """The dataset with other features; None takes one away."""
    description = read_description(whole)
    features = {**description.features, **{name.replace("__", "."): each for name, each in changes.items()}}
    features = {name: feature for name, feature in features.items() if feature is not None}
    return Description(description.root, {**description.info, "features": features})


def test_a_whole_dataset_has_no_finding(whole: Path) -> None:
    description = read_description(whole)
    for wanted in (asked(), asked(()), asked(("observation.images.camera1",)), asked(cameras=IMAGES)):
        assert not [*feature_findings(description, wanted)]
    assert not [*file_findings(description), *rate_findings(description, SUITE)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"action": None}, ("action", "7 numbers")),
        ({"action": None, "actions": {"dtype": "float32", "shape": [7]}}, ("no action", "actions")),
        ({"observation__state": None, "state": {"dtype": "float32", "shape": [8]}}, ("observation.state", "state?")),
        ({"action": {"dtype": "float32", "shape": [14]}}, ("action has 14", "takes 7")),
        ({"action": {"dtype": "float32", "shape": [7, 1]}}, ("action has 7x1",)),
        ({"action": {"dtype": "int64", "shape": [7]}}, ("int64", "float32")),
        ({"observation__state": {"dtype": "float32", "shape": [7]}}, ("observation.state has 7", "gives 8")),
        (
            {"action": {"dtype": "float32", "shape": [7], "names": ["gripper", *SUITE.action.names[:6]]}},
            ("in this order", "reorder"),
        ),
        ({"observation__images__image2": None}, ("observation.images.image2", "policy takes it")),
    ],
)
def test_features_of_another_robot_are_errors(whole: Path, changes: dict[str, Any], named: tuple[str, ...]) -> None:
    found = [*feature_findings(with_features(whole, **changes), asked())]
    assert found
    assert {finding.level for finding in found} == {"error"}
    for each in named:
        assert any(each in finding.message for finding in found), found


@pytest.mark.parametrize("names", [None, {"motors": None}, list(SUITE.action.names), {"motors": list("abcdefg")}])
def test_names_that_say_nothing_or_the_right_thing_are_no_finding(whole: Path, names: Any) -> None:
    description = with_features(whole, action={"dtype": "float32", "shape": [7], "names": names})
    assert not [*feature_findings(description, asked())]


PICTURE = {"dtype": "image", "shape": [32, 32, 3], "names": ["height", "width", "channel"]}
STATE = {"dtype": "float32", "shape": [8]}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"image": None, "image2": None, "front": PICTURE, "wrist": PICTURE}, "{front: image, wrist: image2}"),
        ({"image2": None, "cam_left": PICTURE}, "{cam_left: image2}"),
        ({"image2": None, "hand": PICTURE, "overview": PICTURE}, "{hand: image2}"),
        ({"image": None, "image2": None, "front": PICTURE}, "{front: image}"),
    ],
)
def test_unambiguous_cameras_are_proposed(whole: Path, changes: dict[str, Any], line: str) -> None:
    names = {f"observation__images__{name}": feature for name, feature in changes.items()}
    found = [*feature_findings(with_features(whole, **names), asked())]
    assert any(finding.message.endswith(f"write data.rename: {line}") for finding in found), found


@pytest.mark.parametrize(
    "changes",
    [
        {"image": None, "image2": None, "left": PICTURE, "right": PICTURE},
        {"image2": None, "front": PICTURE},  # no wrist camera
        {"image2": None, "left": PICTURE, "right": PICTURE},
    ],
)
def test_what_could_be_either_is_left_to_the_user(whole: Path, changes: dict[str, Any]) -> None:
    names = {f"observation__images__{name}": feature for name, feature in changes.items()}
    for finding in feature_findings(with_features(whole, **names), asked()):
        assert "name the right one in data.rename, such as" in finding.message


def test_a_state_is_proposed_by_its_size_and_beside_what_is_renamed_already(whole: Path) -> None:
    changes = {"observation__images__image": None, "observation__images__front": PICTURE}
    description = with_features(whole, **changes, observation__state=None, observation__qpos=STATE)
    line = "data.rename: {front: image, observation.qpos: observation.state}"
    assert all(line in each.message for each in feature_findings(description, asked()))
    once = renamed(description, [("front", "image")])
    (finding,) = feature_findings(once, asked())
    assert line in finding.message


def test_a_camera_that_arms_read_is_needed(whole: Path) -> None:
    description = with_features(whole, observation__images__image2=None)
    assert not [*feature_findings(description, asked(IMAGES[:1]))]
    (finding,) = feature_findings(description, asked(IMAGES[:1], cameras=IMAGES[1:]))
    assert "latents" in finding.message


@pytest.mark.parametrize(("fps", "fits"), [(10, True), (20, True), (30, False), (5, False), (12.5, False)])
def test_rates_of_the_suite_are_known(whole: Path, fps: float, fits: bool) -> None:
    description = read_description(whole)
    found = [*rate_findings(Description(description.root, {**description.info, "fps": fps}), SUITE)]
    assert not found if fits else [finding.level for finding in found] == ["warning"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda value: value.pop("action"), "action: mean are missing"),
        (lambda value: value["action"].pop("std"), "action: std are missing"),
        (lambda value: value["observation.state"].update(mean=[]), "observation.state: mean has 0 numbers, not 8"),
        (lambda value: value["action"].update(mean=["a"] * 7), "action: mean is no list of numbers"),
    ],
)
def test_statistics_that_lack_something_are_errors(copy: Path, change: Any, named: str) -> None:
    edit_json(copy / STATISTICS, change)
    (finding,) = file_findings(read_description(copy))
    assert (finding.level, finding.where) == ("error", STATISTICS)
    assert finding.message.startswith(named)


def test_files_may_be_elsewhere_where_only_the_metadata_is_here(copy: Path) -> None:
    (copy / "data/chunk-000/file-000.parquet").unlink()
    assert not [*file_findings(read_description(copy), whole=False)]
    edit_json(copy / STATISTICS, lambda value: value["action"].update(mean=[None] * 7))
    (finding,) = file_findings(read_description(copy), whole=False)
    assert finding.message.startswith("action: mean is not finite")
    (finding,) = file_findings(read_description(copy))
    assert finding.where == "data/chunk-000/file-000.parquet"


def test_statistics_that_are_not_json_are_an_error(copy: Path) -> None:
    (copy / STATISTICS).write_text("{")
    (finding,) = file_findings(read_description(copy))
    assert finding.where == STATISTICS
    assert json.loads((copy / INFO).read_text())
