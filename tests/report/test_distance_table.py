"""The distance to the goal as a secondary outcome: told where a simulator tells it, and never a verdict."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from world_modality.report.progress import WAYS, way_left


def told(condition: str, values: dict[str, Any]) -> None:
    """E2 comes half as near as the others where it fails; what succeeds has nothing left."""
    end = 0.0 if values["success"] else 0.1 if condition == "E2" else 0.2
    least = 0.0 if values["success"] else 0.05
    values["distances"] = {"on bowl plate": [0.4, least, end]}


def test_where_no_simulator_tells_it_nothing_is_said(toy: Any, report: Any) -> None:
    folder, _ = report(toy)
    assert json.loads((folder / "table.json").read_text())["distance"] == []
    for name in ("table.md", "report.html"):
        assert "Distance to the goal" not in (folder / name).read_text()


def test_it_is_told_per_claim_and_changes_no_verdict(toy: Any, report: Any) -> None:
    folder, _ = report(toy)
    before = json.loads((folder / "table.json").read_text())["judgement"]
    toy.edit = told
    folder, _ = report(toy)
    table = json.loads((folder / "table.json").read_text())
    assert table["judgement"] == before
    rows = {(row["claim"], row["at"]): row for row in table["distance"]}
    claims = ("pred > zero", "pred > random", "E2 > E0", "E1 = E0")
    assert list(rows) == [(claim, at) for claim in claims for at in WAYS]
    row = rows["pred > zero", "at the end"]
    assert row["left"] == pytest.approx(2 * 0.25 / 8)  # E2 fails twice,
    assert row["left_control"] == pytest.approx(3 * 0.5 / 8)  # E2-zero three times
    assert row["estimate"] == pytest.approx(row["left"] - row["left_control"])
    assert rows["pred > zero", "at the nearest"]["left"] == pytest.approx(2 * 0.125 / 8)
    assert (row["episodes"], row["scenes"]) == (8, 8)
    for name in ("table.md", "report.html"):
        text = (folder / name).read_text()
        assert "Distance to the goal" in text
        assert "-12.5 [no interval]" in text
    with (folder / "records.csv").open() as file:
        texts = {line["distances"] for line in csv.DictReader(file) if line["success"] == "true"}
    assert {json.loads(text)["on bowl plate"][2] for text in texts} == {0.0}


def test_episodes_that_tell_none_pair_with_nothing(toy: Any, report: Any) -> None:
    def edit(condition: str, values: dict[str, Any]) -> None:
        if not (condition == "E0" and values["init_state"] < 12):
            told(condition, values)

    toy.edit = edit
    folder, _ = report(toy)
    rows = {row["claim"]: row for row in json.loads((folder / "table.json").read_text())["distance"]}
    assert rows["E2 > E0"]["episodes"] == 4
    assert rows["pred > zero"]["episodes"] == 8


@pytest.mark.parametrize(
    ("distances", "end", "least"),
    [
        ({}, None, None),
        ({"a": [0.4, 0.1, 0.2]}, 0.5, 0.25),
        ({"a": [0.4, 0.1, 0.9]}, 1.0, 0.25),  # pushed away: all of the way is left, and no more
        ({"a": [0.4, 0.0, 0.2], "b": [1.0, 1.0, 1.0]}, 0.75, 0.5),  # metres and a joint's share: each by its own start
        ({"a": [0.0, 0.0, 0.0]}, 0.0, 0.0),  # it held at the start,
        ({"a": [0.0, 0.0, 0.3]}, 1.0, 0.0),  # and does no more
    ],
)
def test_a_way_left_is_relative_to_each_parts_start(
    toy: Any, distances: dict[str, list[float]], end: float | None, least: float | None
) -> None:
    record = toy._record("E0", 0, 0, 10, 0, "trainE00", "disabled", "disabled")
    object.__setattr__(record, "distances", distances)
    assert way_left(record, WAYS["at the end"]) == end
    assert way_left(record, WAYS["at the nearest"]) == least
