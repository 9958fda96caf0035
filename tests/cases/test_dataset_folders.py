"""Dataset folders with which no training or rollout of a study can succeed: told at planning, not in the night."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.command_line import EXPLAIN, Outcome, assert_refused, assert_told, wm
from support.given_inputs import Episodes, Moment, dataset_of, edit_json, study_of


def planned(data: Path, rename: Mapping[str, str] | None = None) -> Outcome:
    return wm(EXPLAIN, "--study", study_of(data, rename))


@pytest.fixture
def copy(place: Path, whole: Path) -> Path:
    """The whole dataset, to be spoilt."""
    shutil.copytree(whole, place / "data")
    return place / "data"


def first_seven(moment: Moment) -> Moment:
    return replace(moment, seen=replace(moment.seen, state=moment.seen.state[:7]))


def without_gripper(moment: Moment) -> Moment:
    return replace(moment, action=moment.action[:6])


def untold(moment: Moment) -> Moment:
    return replace(moment, task="")


def test_the_whole_dataset_is_planned(whole: Path, place: Path) -> None:
    shutil.copytree(whole, place / "data")
    assert planned(place / "data").accepted


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (first_seven, ("observation.state", "7", "8")),
        (without_gripper, ("action", "6", "7")),
        (untold, ("empty", "meta/tasks.parquet")),
    ],
)
def test_what_the_simulator_takes_otherwise_is_refused(
    place: Path, episodes: Episodes, change: Callable[[Moment], Moment], named: tuple[str, ...]
) -> None:
    data = dataset_of(place / "data", episodes, change=change)
    assert_refused(planned(data), "data", *named)


@pytest.mark.parametrize(
    ("cameras", "named"),
    [
        (("image", "wrist_image"), ("observation.images.wrist_image", "image2")),
        (("image",), ("observation.images.image2",)),
    ],
)
def test_cameras_of_other_names_or_number_are_renamed_or_refused(
    place: Path, episodes: Episodes, cameras: tuple[str, ...], named: tuple[str, ...]
) -> None:
    assert_told(planned(dataset_of(place / "data", episodes, cameras=cameras)), *named)


def test_the_line_that_a_refusal_proposes_renames_the_cameras(place: Path, episodes: Episodes) -> None:
    data = dataset_of(place / "data", episodes, cameras=("front", "wrist"))
    assert_refused(planned(data), "data.rename: {front: image, wrist: image2}")
    assert_refused(planned(data, {"front": "image"}), "data.rename: {front: image, wrist: image2}")
    assert planned(data, {"front": "image", "wrist": "image2"}).accepted
    assert_refused(planned(data, {"top": "image"}), "data.rename: the dataset has no feature top", "images.front")


def test_an_older_version_is_refused_with_the_command_that_converts_it(copy: Path) -> None:
    edit_json(copy / "meta" / "info.json", lambda info: info.update(codebase_version="v2.1"))
    assert_refused(planned(copy), str(copy), "v2.1", "convert_dataset_v21_to_v30")


@pytest.mark.parametrize("file", ["meta/stats.json", "data/chunk-000/file-000.parquet"])
def test_a_missing_file_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    assert_refused(planned(copy), file)
