"""Estimates with their intervals, drawn one above the other on a common axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from world_modality.report.console import OVERALL, p_told, points_text, rate_text, verdicts
from world_modality.report.svg import WIDTH, axis_label, figure, nice_ticks, series, shortened, tag, text

ROW = 26
LETTER = 6.6  # widest usual width of a letter
RIGHT = 12
TOP = 8
AXIS = 38  # room for the axis' numbers and what they measure


@dataclass(frozen=True)
class Line:
    """One estimate of a forest plot, in percent or percentage points."""

    name: str
    estimate: float
    low: float
    high: float
    class_: str  # of the style sheet: the series' colour
    told: str  # the numbers in words


@dataclass(frozen=True)
class Panel:
    """A titled figure."""

    title: str
    svg: str


def rate_panels(table: Mapping[str, Any]) -> list[Panel]:
    """One panel for all tasks and one per task: every column's success rate with its interval."""
    order = {column["name"]: index for index, column in enumerate(table["columns"])}
    places = [(OVERALL, None, None), *((task["name"], task["suite"], task["task"]) for task in table["tasks"])]
    panels = []
    for title, suite, task in places:
        rates = [rate for rate in table["rates"] if (rate["suite"], rate["task"]) == (suite, task)]
        lines = [
            _line(rate["column"], rate, series(order[rate["column"]]), rate_text(rate))
            for rate in rates
            if rate["units"]
        ]
        if lines:
            described = f"Success rate in percent, {title}"
            panels.append(Panel(title, forest(lines, (0, 25, 50, 75, 100), described, "success rate (%)")))
    return panels


DIFFERENCE = "difference (percentage points)"
SCOPES = {"checkpoint": "in the checkpoints that were rolled out", "recipe": "when the recipe is trained anew"}


def difference_panels(table: Mapping[str, Any]) -> list[Panel]:
    """Per scope every claim's difference in percentage points around zero, as far as an interval is known."""
    order = {column["name"]: index for index, column in enumerate(table["columns"])}
    panels = []
    for scope, title in SCOPES.items():
        found = [each for each in verdicts(table) if each["scope"] == scope and each["low"] is not None]
        lines = [
            _line(each["claim"], each, series(order[each["treated"]]), f"{points_text(each)} points, {each['word']}")
            for each in found
        ]
        if lines:
            described = f"Differences in percentage points, {title}"
            panels.append(Panel(title, forest(lines, _around_zero(lines), described, DIFFERENCE)))
    return panels


def task_panels(table: Mapping[str, Any]) -> list[Panel]:
    """Per claim its difference on every task, in percentage points, as far as intervals are known."""
    order = {column["name"]: index for index, column in enumerate(table["columns"])}
    panels = []
    for claim in dict.fromkeys(row["claim"] for row in table["task_differences"]):
        found = [row for row in table["task_differences"] if row["claim"] == claim and row["low"] is not None]
        lines = [
            _line(
                row["task"],
                row,
                series(order[row["treated"]]),
                f"{points_text(row)} points, {p_told(row['p_holm'])}",
            )
            for row in found
        ]
        if lines:
            described = f"{claim}, task by task, in percentage points"
            panels.append(Panel(claim, forest(lines, _around_zero(lines), described, DIFFERENCE)))
    return panels


def _around_zero(lines: Sequence[Line]) -> list[float]:
    reach = max([5.0, *(abs(limit) for line in lines for limit in (line.low, line.high))])
    return nice_ticks(-reach, reach)


def _line(name: str, numbers: Mapping[str, Any], class_: str, told: str) -> Line:
    estimate, low, high = (100 * numbers[part] for part in ("estimate", "low", "high"))
    return Line(name, estimate, low, high, class_, told)


def forest(lines: Sequence[Line], ticks: Sequence[float], description: str, axis: str) -> str:
    """The figure: grid at ``ticks``, then per line its name, interval and estimate; ``axis`` is what is measured."""
    low, high = ticks[0], ticks[-1]
    bottom = TOP + ROW * len(lines)
    left = 16 + LETTER * max(len(shortened(line.name)) for line in lines)

    def x(value: float) -> float:
        return left + (WIDTH - left - RIGHT) * (min(max(value, low), high) - low) / (high - low)

    parts = []
    for tick in ticks:
        kind = "zero" if tick == 0 and low < 0 else "grid"
        parts.append(tag("line", x1=x(tick), x2=x(tick), y1=TOP, y2=bottom, class_=kind))
        parts.append(text(x(tick), bottom + 15, f"{tick:g}", anchor="middle", class_="tick"))
    parts.append(axis_label((left + WIDTH - RIGHT) / 2, bottom + 31, axis))
    for index, line in enumerate(lines):
        y = TOP + ROW * (index + 0.5)
        parts.append(text(left - 8, y + 4, shortened(line.name), anchor="end"))
        parts.append(tag("line", x1=x(line.low), x2=x(line.high), y1=y, y2=y, class_=f"interval {line.class_}"))
        for end in (line.low, line.high):
            parts.append(tag("line", x1=x(end), x2=x(end), y1=y - 4, y2=y + 4, class_=f"interval {line.class_}"))
        parts.append(tag("circle", cx=x(line.estimate), cy=y, r=4, class_=f"dot {line.class_}"))
    told = "; ".join(f"{line.name} {line.told}" for line in lines)
    return figure(bottom + AXIS, parts, f"{description}: {told}")
