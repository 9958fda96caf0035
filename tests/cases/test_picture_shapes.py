"""Pictures that a dataset's meta/info.json describes in other words; their size is in the shape."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.command_line import EXPLAIN, Outcome, assert_refused, wm
from support.given_inputs import edit_json, study_of

LAST, FIRST = [256, 256, 3], [3, 256, 256]


def planned(place: Path, whole: Path, names: list[str] | None, shape: list[int]) -> Outcome:
    def describe(info: dict[str, Any]) -> None:
        for feature in info["features"].values():
            if feature["dtype"] == "image":
                feature.update(names=names, shape=shape)

    data = place / "data"
    shutil.copytree(whole, data)
    edit_json(data / "meta" / "info.json", describe)
    return wm(EXPLAIN, "--study", study_of(data))


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        (["height", "width", "channel"], LAST),
        (["channels", "height", "width"], FIRST),
        (["height", "width", "rgb"], LAST),
        (["height", "width", "color"], LAST),
        (None, LAST),
        (None, FIRST),
    ],
)
def test_pictures_of_the_right_size_are_accepted(
    place: Path, whole: Path, names: list[str] | None, shape: list[int]
) -> None:
    outcome = planned(place, whole, names, shape)
    assert outcome.accepted, outcome.said


@pytest.mark.parametrize(
    "names",
    [
        ["height", "width", "channel"],
        ["height", "width", "rgb"],
        None,
    ],
)
def test_pictures_of_another_size_are_refused(place: Path, whole: Path, names: list[str] | None) -> None:
    assert_refused(planned(place, whole, names, [128, 128, 3]), "simulator.camera_size", "128x128")
