"""Progress as a secondary outcome: told where it says more than success, and never a verdict."""

import json

import pytest


def halves(condition, values):
    """Half of the goal's parts held at the end of every second failure, of every failure of E2."""
    if not values["success"]:
        values["progress"] = 0.5 if condition == "E2" or values["init_state"] % 2 else 0.0


def test_where_a_goal_has_one_part_there_is_none(toy, report):
    folder, _ = report(toy)
    assert json.loads((folder / "table.json").read_text())["progress"] == []
    assert "Progress" not in (folder / "table.md").read_text()


def test_it_is_told_per_claim_and_changes_no_verdict(toy, report, tmp_path):
    folder, _ = report(toy)
    before = json.loads((folder / "table.json").read_text())["judgement"]
    toy.edit = halves
    folder, _ = report(toy)
    table = json.loads((folder / "table.json").read_text())
    assert table["judgement"] == before
    rows = {row["claim"]: row for row in table["progress"]}
    assert list(rows) == ["pred > zero", "pred > random", "E2 > E0", "E1 = E0"]
    row = rows["pred > zero"]
    # E2: six successes and two failures at one half; E2-zero: five successes, failures in states 12, 10 and 13
    assert row["progress"] == pytest.approx((6 + 2 * 0.5) / 8)
    assert row["progress_control"] == pytest.approx((5 + 0.5) / 8)
    assert row["estimate"] == pytest.approx(row["progress"] - row["progress_control"])
    assert (row["low"], row["high"]) == (None, None), "too few scenes differ"
    assert (row["episodes"], row["scenes"]) == (8, 8)
    for name in ("table.md", "report.html"):
        text = (folder / name).read_text()
        assert "no verdict hangs on it" in text
        assert "+18.8 [no interval]" in text


def test_an_import_that_tells_no_progress_pairs_with_nothing(toy, report):
    def edit(condition, values):
        halves(condition, values)
        if condition == "E0" and values["init_state"] < 12:
            values["progress"] = None

    toy.edit = edit
    folder, _ = report(toy)
    rows = {row["claim"]: row for row in json.loads((folder / "table.json").read_text())["progress"]}
    assert rows["E2 > E0"]["episodes"] == 4
    assert rows["pred > zero"]["episodes"] == 8
