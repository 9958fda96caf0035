import csv
import io
import json
import re

import pytest

from world_modality.report.charts import WIDTH
from world_modality.report.figures import difference_panels, task_panels


@pytest.fixture
def table(toy, report):
    artifact, _ = report(toy)
    return json.loads((artifact / "table.json").read_text())


def test_every_claim_has_a_row_per_task_with_its_own_difference(table):
    rows = {(row["claim"], row["task"]): row for row in table["task_differences"]}
    claims = {each["claim"] for each in table["judgement"]["verdicts"]}
    names = [task["name"] for task in table["tasks"]]
    assert set(rows) == {(claim, name) for claim in claims for name in names}
    gain = next(
        row for row in rows.values() if (row["treated"], row["control"], row["task"]) == ("E2", "E2-random", names[0])
    )
    assert gain["estimate"] == pytest.approx(0.5)  # 1111 against 1001
    assert gain["low"] <= gain["estimate"] <= gain["high"]


def test_estimates_are_shrunk_towards_each_other_never_past(table):
    for claim in {row["claim"] for row in table["task_differences"]}:
        rows = [row for row in table["task_differences"] if row["claim"] == claim]
        low, high = min(row["estimate"] for row in rows), max(row["estimate"] for row in rows)
        assert all(low - 1e-6 <= row["shrunk"] <= high + 1e-6 for row in rows)


def test_discordant_episodes_are_named_under_the_column_that_succeeded(table):
    rows = {(row["claim"], row["only"]): row for row in table["discordant"]}
    content = next(claim for claim, _ in rows if "random" in claim)
    assert rows[content, "E2"]["episodes"] == 3  # states 11 and 12 of task 0, state 11 of task 1
    assert rows[content, "E2-random"]["episodes"] == 0
    assert rows[content, "E2"]["named"][0].startswith("seed 0, libero_spatial task 0, init state 11, repeat 0")


def test_the_page_shows_tasks_scenes_and_seeds(toy, report):
    toy.seeds = (0, 1)
    artifact, _ = report(toy)
    page = (artifact / "report.html").read_text()
    for heading in ("Task by task", "Trainings", "Scene by scene"):
        assert f">{heading}</h2>" in page
    assert page.count("<svg") == page.count('role="img"')
    assert "E2 and E0 in the same episodes: both succeed" in page


def test_every_task_is_told_in_both_scopes(toy, report):
    toy.seeds = (0, 1, 2)
    artifact, _ = report(toy)
    rows = json.loads((artifact / "table.json").read_text())["task_differences"]
    assert {(row["scope"], row["recipe"]["scope"]) for row in rows} == {("checkpoint", "recipe")}
    # All seeds of the toy do alike, so nothing is known of how much training anew would change.
    assert all(row["recipe"]["low"] is None and row["recipe"]["p_holm"] is None for row in rows)
    assert all(row["detectable"] > 0 for row in rows)
    lines = list(csv.DictReader(io.StringIO((artifact / "table.csv").read_text())))
    told = [line for line in lines if line["kind"] == "difference" and line["task"]]
    assert [(line["claim"], line["scope"], line["suite"], int(line["task"])) for line in told] == [
        (row["claim"], scope, row["suite"], row["index"]) for row in rows for scope in ("checkpoint", "recipe")
    ]
    for line, row in zip(told[::2], rows, strict=True):
        assert (float(line["estimate"]), int(line["episodes"])) == (row["estimate"], row["episodes"])
    assert "## Task by task" in (artifact / "table.md").read_text()


def test_figures_keep_room_for_what_they_draw_beside_long_names(toy, report):
    toy.seeds = (0, 1)
    artifact, _ = report(toy)
    table = json.loads((artifact / "table.json").read_text())
    long = "an_arm_whose_name_goes_on_and_on_and_on_until_it_is_wider_than_the_figure"
    for row in (*table["judgement"]["verdicts"], *table["task_differences"]):
        row["claim"] = f"{long} > {row['claim']}"
    for panel in (*difference_panels(table), *task_panels(table)):
        places = [float(x) for x in re.findall(r' x="(-?[\d.]+)"', panel.svg)]
        assert min(places) >= 0
        assert max(places) <= WIDTH
    assert long in difference_panels(table)[0].svg, "a screen reader is told the whole name"
