"""A study of two suites: its table says how each of them went."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from support.toy_results import ToyResults

from world_modality.evidence.paired import tango
from world_modality.evidence.rates import wilson
from world_modality.report.charts import shortened
from world_modality.report.console import console_lines
from world_modality.report.judgement import conditions_of
from world_modality.report.results import load_results
from world_modality.report.table import suite_figures, task_names

TWO = ("libero_spatial", "libero_10")
PAIRS = [("E2", "E0"), ("E1", "E0"), ("E2", "E0")]


@pytest.fixture
def two(toy: ToyResults) -> ToyResults:
    toy.suites = TWO
    return toy


def figures_of(toy: ToyResults) -> dict[str, dict[str, Any]]:
    spec, rollouts, _ = toy.write()
    conditions = conditions_of(spec, load_results(spec, rollouts))
    return {each["suite"]: each for each in suite_figures(spec, conditions, PAIRS)}


def test_rates_by_hand(two: ToyResults) -> None:
    found = {
        (suite, rate["condition"]): (rate["successes"], rate["episodes"])
        for suite, figures in figures_of(two).items()
        for rate in figures["rates"]
    }
    assert found["libero_spatial", "E0"] == (3, 4)
    assert found["libero_spatial", "E2"] == (4, 4)
    assert found["libero_10", "E0"] == (1, 4)
    assert found["libero_10", "E2"] == (2, 4)
    rate = next(rate for rate in figures_of(two)["libero_10"]["rates"] if rate["condition"] == "E2")
    assert (rate["low"], rate["high"]) == (round(wilson(2, 4).low, 6), round(wilson(2, 4).high, 6))


def test_differences_by_hand(two: ToyResults) -> None:
    found = {(d["treated"], d["control"]): d for d in figures_of(two)["libero_10"]["differences"]}
    gain = found["E2", "E0"]
    assert (gain["only_treated"], gain["only_control"], gain["pairs"], gain["scenes"]) == (1, 0, 4, 4)
    assert gain["estimate"] == 0.25
    assert gain["low"] == round(tango(1, 0, 4).low, 6)
    assert found["E1", "E0"]["estimate"] == 0


def test_one_suite_needs_none_of_this(toy: ToyResults) -> None:
    assert figures_of(toy) == {}


def test_every_file_has_them(two: ToyResults, report: Any) -> None:
    folder: Path = report(two)[0]
    table = json.loads((folder / "table.json").read_text())
    assert [each["suite"] for each in table["suites"]] == list(TWO)
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    own = [row for row in rows if row["suite"] and not row["task"]]
    assert {(row["kind"], row["suite"]) for row in own} == {(k, s) for k in ("rate", "difference") for s in TWO}
    row = next(r for r in own if r["kind"] == "rate" and (r["suite"], r["condition"]) == ("libero_10", "E2"))
    assert (row["successes"], row["episodes"], float(row["estimate"])) == ("2", "4", 0.5)
    for name in ("table.md", "report.html"):
        text = (folder / name).read_text()
        assert "suite, all its tasks" in text
        assert "E2 - E0, libero_10" in text
    lines = console_lines(table)
    assert any(line.startswith("libero_10") and "2/4 [15-85]" in line for line in lines)
    assert any(line.startswith("E2 - E0, libero_10") and "+25.0" in line for line in lines)


def test_a_gate_that_fails_takes_no_number_away(two: ToyResults, report: Any) -> None:
    told = json.loads((report(two)[0] / "table.json").read_text())
    two.sealed_at = ""
    for seal in two.root.rglob("*-then.json"):
        seal.unlink()
    withheld = json.loads((report(two)[0] / "table.json").read_text())
    assert withheld["judgement"]["withheld"]
    assert withheld["suites"] == told["suites"]
    assert all(each["differences"] for each in withheld["suites"])
    assert console_lines(withheld)[-1].startswith("E1 - E0, libero_10")


def test_a_tasks_name_begins_with_what_it_is_so_that_cutting_it_leaves_that(two: ToyResults) -> None:
    spec, rollouts, _ = two.write()
    names = list(task_names(spec, load_results(spec, rollouts)).values())
    assert set(names) == {"between the plate and the ramekin (libero_spatial)", "next to the ramekin (libero_10)"}
    assert len({shortened(name) for name in names}) == 2
