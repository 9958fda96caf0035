"""Estimates with their intervals, drawn one above the other on a common axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from world_modality.report.console import OVERALL, points_text, rate_text
from world_modality.report.svg import WIDTH, axis_label, figure, nice_ticks, series, tag, text

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
        lines = [_line(rate["column"], rate, series(order[rate["column"]]), rate_text(rate)) for rate in rates]
        described = f"Success rate in percent, {title}"
        panels.append(Panel(title, forest(lines, (0, 25, 50, 75, 100), described, "success rate (%)")))
    return panels


def difference_panel(table: Mapping[str, Any]) -> Panel:
    """Every declared difference in percentage points around zero."""
    order = {column["name"]: index for index, column in enumerate(table["columns"])}
    lines = [
        _line(f"{d['treated']} - {d['control']}", d, series(order[d["treated"]]), f"{points_text(d)} points")
        for d in table["differences"]
    ]
    reach = max([5.0, *(abs(limit) for line in lines for limit in (line.low, line.high))])
    ticks, described = nice_ticks(-reach, reach), "Differences in percentage points"
    return Panel("Differences", forest(lines, ticks, described, "difference (percentage points)"))


def _line(name: str, numbers: Mapping[str, Any], class_: str, told: str) -> Line:
    estimate, low, high = (100 * numbers[part] for part in ("estimate", "low", "high"))
    return Line(name, estimate, low, high, class_, told)


def forest(lines: Sequence[Line], ticks: Sequence[float], description: str, axis: str) -> str:
    """The figure: grid at ``ticks``, then per line its name, interval and estimate; ``axis`` is what is measured."""
    low, high = ticks[0], ticks[-1]
    bottom = TOP + ROW * len(lines)
    left = 16 + LETTER * max(len(line.name) for line in lines)

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
        parts.append(text(left - 8, y + 4, line.name, anchor="end"))
        parts.append(tag("line", x1=x(line.low), x2=x(line.high), y1=y, y2=y, class_=f"interval {line.class_}"))
        for end in (line.low, line.high):
            parts.append(tag("line", x1=x(end), x2=x(end), y1=y - 4, y2=y + 4, class_=f"interval {line.class_}"))
        parts.append(tag("circle", cx=x(line.estimate), cy=y, r=4, class_=f"dot {line.class_}"))
    told = "; ".join(f"{line.name} {line.told}" for line in lines)
    return figure(bottom + AXIS, parts, f"{description}: {told}")
