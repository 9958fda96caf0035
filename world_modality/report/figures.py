"""The report's figures: which there are, and what each of them draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from world_modality.evidence.outcomes import Outcomes, cell_rates, clusters_of, common_episodes, scenes
from world_modality.evidence.plan import Plan
from world_modality.report.charts import Line, Mark, Panel, dots, forest, matrix
from world_modality.report.text import OVERALL, SCOPES, p_told, points_text, primary, rate_text, verdicts

DIFFERENCE = "difference in success (percentage points)"
HEADLINE_WIDTH, HEADLINE_ROW, HEADLINE_TEXT = 540.0, 40.0, 12.0  # of the first figure, in pixels
Table = Mapping[str, Any]


def headline_panels(table: Table) -> list[Panel]:
    """The claims of the decision rule in one forest plot, each in the scope in which it is decided, with margins."""
    lines = [
        _line(
            each["claim"],
            each,
            _order(table)[each["treated"]],
            _told(each),
            below=SCOPES[each["scope"]],
            word=each["word"],
            margin=each["margin"],
        )
        for each in primary(table)
    ]
    title = "The claims of the decision rule"
    if not lines:
        return []
    svg = forest(lines, title, DIFFERENCE, width=HEADLINE_WIDTH, row=HEADLINE_ROW, size=HEADLINE_TEXT)
    return [Panel(title, svg)]


def _told(verdict: Table) -> str:
    if verdict["identical"]:
        return "equal in every episode"
    return points_text(verdict).replace(" [no interval]", ", no interval")


def _order(table: Table) -> dict[str, int]:
    """Condition -> its place, which decides its colour."""
    return {column["name"]: index for index, column in enumerate(table["columns"])}


def rate_panels(table: Table) -> list[Panel]:
    """One panel for all tasks and one per task: every condition's success rate with its interval."""
    order = _order(table)
    places = [(OVERALL, None, None), *((task["name"], task["suite"], task["task"]) for task in table["tasks"])]
    panels = []
    for title, suite, task in places:
        rates = [rate for rate in table["rates"] if (rate["suite"], rate["task"]) == (suite, task) and rate["episodes"]]
        lines = [_line(rate["column"], rate, order[rate["column"]], rate_text(rate)) for rate in rates]
        if lines:
            described = f"Success rate in percent, {title}"
            panels.append(Panel(title, forest(lines, described, "success rate (%)", ends=(0, 100))))
    return panels


def difference_panels(table: Table) -> list[Panel]:
    """Per scope the differences that the first figure does not show, as far as an interval is known."""
    order, shown = _order(table), primary(table)
    panels = []
    for scope, title in SCOPES.items():
        lines = [
            _line(each["claim"], each, order[each["treated"]], f"{points_text(each)} points, {each['word']}")
            for each in verdicts(table)
            if each["scope"] == scope and each["low"] is not None and each not in shown
        ]
        if lines:
            panels.append(Panel(title, forest(lines, f"Further differences, {title}", DIFFERENCE)))
    return panels


def task_panels(table: Table) -> list[Panel]:
    """Per claim its difference on every task, as far as intervals are known."""
    order = _order(table)
    panels = []
    for claim in dict.fromkeys(row["claim"] for row in table["task_differences"]):
        lines = [
            _line(row["task"], row, order[row["treated"]], f"{points_text(row)} points, {p_told(row['p_holm'])}")
            for row in table["task_differences"]
            if row["claim"] == claim and row["low"] is not None
        ]
        if lines:
            panels.append(Panel(claim, forest(lines, f"{claim}, task by task", DIFFERENCE)))
    return panels


def _line(name: str, numbers: Table, series: int, told: str, **more: Any) -> Line:
    estimate, low, high = (
        None if numbers[part] is None else 100 * numbers[part] for part in ("estimate", "low", "high")
    )
    return Line(name, estimate or 0.0, low, high, series, told, **more)


def seed_panels(conditions: Mapping[str, Outcomes]) -> list[Panel]:
    """A row per condition, a dot per training seed, a bar at their mean; none where there is but one seed.

    A dot is a seed's success in percent, the mean over scenes. Dots of one seed are joined, so that crossing lines show
    how much of a difference between conditions is the seeds' own.
    """
    means = {name: _means(outcomes) for name, outcomes in conditions.items()}
    seeds = sorted({seed for each in means.values() for seed in each})
    if len(seeds) < 2:
        return []
    joined = [[(each[seed], row) for row, each in enumerate(means.values()) if seed in each] for seed in seeds]
    told = "; ".join(f"{name} {', '.join(f'{value:.1f}' for value in each.values())}" for name, each in means.items())
    described = f"Success in percent of each training seed ({', '.join(map(str, seeds))}): {told}"
    rows = [(name, list(each.values())) for name, each in means.items()]
    return [Panel("Every training seed", dots(rows, joined, described))]


def _means(outcomes: Outcomes) -> dict[int, float]:
    """Seed -> mean success over scenes in percent; seeds that lack a task are left out."""
    rates = cell_rates(outcomes)
    return {seed: 100 * float(mean) for seed, mean in zip(rates.seeds, rates.means, strict=True) if not np.isnan(mean)}


@dataclass(frozen=True, slots=True)
class Counts:
    """Pairs of episodes by their two outcomes."""

    both: int
    only_treated: int
    only_control: int
    neither: int


def paired_counts(treated: Outcomes, control: Outcomes) -> Counts:
    """The two-by-two table. ValueError unless both hold the same episodes."""
    if not treated.same_episodes(control):
        raise ValueError("treated and control must hold the same episodes")
    one, two = treated.success, control.success
    cells = (one & two, one & ~two, ~one & two, ~one & ~two)
    return Counts(*(int(cell.sum()) for cell in cells))


def matrix_panels(plan: Plan, conditions: Mapping[str, Outcomes], tasks: Mapping[int, str]) -> list[Panel]:
    """The matrix of every claim whose conditions share episodes; ``tasks`` by their number in the plan."""
    panels = []
    for claim in plan.claims:
        if claim.treated in conditions and claim.control in conditions:
            pair = common_episodes(conditions[claim.treated], conditions[claim.control])
            if len(pair[0]):
                panels.append(matrix_panel((claim.treated, claim.control), *pair, tasks))
    return panels


def matrix_panel(names: tuple[str, str], treated: Outcomes, control: Outcomes, tasks: Mapping[int, str]) -> Panel:
    """A row per task, a mark per scene in the order of its initial states. ``tasks`` names the rows.

    ValueError unless both conditions hold the same episodes, and at least one.
    """
    counts, marks = paired_counts(treated, control), scene_marks(treated, control)
    key = [
        ("up", f"{names[0]} more often"),
        ("down", f"{names[1]} more often"),
        ("both", "both succeed"),
        ("neither", "both fail"),
    ]
    if any(mark.kind == "half" for mark in marks):
        key.append(("half", "both half of the time"))
    told = (
        f"{names[0]} and {names[1]} in the same episodes: both succeed {counts.both}, only {names[0]} "
        f"{counts.only_treated}, only {names[1]} {counts.only_control}, neither {counts.neither}"
    )
    rows = [tasks[task] for task in treated.tasks]
    return Panel(f"{names[0]} and {names[1]}", matrix(rows, marks, key, told))


def scene_marks(treated: Outcomes, control: Outcomes) -> list[Mark]:
    """A mark per scene: its episodes (seeds, repeats) share it.

    It points to the condition that succeeded more often, as strong as they differ, or says what both did in most.
    """
    clusters = clusters_of(treated, control)
    task, _, index = scenes(control)
    successes = np.bincount(index[control.success], minlength=task.size)
    marks = []
    for row, number in enumerate(treated.tasks):
        for place, scene in enumerate(np.flatnonzero(clusters.task == number)):
            gap, count = int(clusters.total[scene]), int(clusters.episodes[scene])
            marks.append(Mark(row, place, _kind(gap, int(successes[scene]), count), abs(gap) / count or 1.0))
    return marks


def _kind(gap: int, successes: int, episodes: int) -> str:
    """Which mark a scene gets: up, down, or by what both did in more than half of its episodes, if they did."""
    if gap:
        return "up" if gap > 0 else "down"
    if 2 * successes == episodes:
        return "half"
    return "both" if 2 * successes > episodes else "neither"


def all_figures(
    table: Table, plan: Plan | None, conditions: Mapping[str, Outcomes], names: Mapping[int, str]
) -> dict[str, Sequence[Panel]]:
    """Figures by the section of the page, each perhaps without any; ``names`` are the tasks' by number."""
    return {
        "headline": headline_panels(table),
        "differences": difference_panels(table),
        "rates": rate_panels(table),
        "tasks": task_panels(table),
        "scenes": matrix_panels(plan, conditions, names) if plan else [],
        "seeds": seed_panels(conditions),
    }
