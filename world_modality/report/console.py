"""The table as plain text: for the end of a run. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OVERALL = "all tasks"


def headline(table: Mapping[str, Any]) -> str:
    """``libero_spatial (embedded assets), 1 seed, 4 units per task: ...`` in one line."""
    seeds = len(table["seeds"])
    units = "-".join(str(count) for count in table["units_per_task"])
    points = f"smallest detectable difference {100 * table['detectable']:.0f} points"
    verdict = f"too few to decide anything ({points})" if table["too_few"] else points
    return f"{table['label']}, {seeds} seed{'s' * (seeds != 1)}, {units} units per task: {verdict}"


def column_title(column: Mapping[str, Any]) -> str:
    """The column's name, with the memory it was rolled out with where the name does not tell: ``E2 pred``."""
    name, memory = str(column["name"]), str(column["memory"])
    return name if memory == "disabled" or memory in name else f"{name} {memory}"


def rate_text(rate: Mapping[str, Any]) -> str:
    """``3/4 [30-95]``: successes, units, and the interval in percent."""
    return f"{rate['successes']}/{rate['units']} [{100 * rate['low']:.0f}-{100 * rate['high']:.0f}]"


def points_text(difference: Mapping[str, Any]) -> str:
    """``+8.3 [-12.0, +28.1]`` in percentage points."""
    low, high = (signed(difference[limit]) for limit in ("low", "high"))
    return f"{signed(difference['estimate'])} [{low}, {high}]"


def signed(fraction: float) -> str:
    """A fraction as signed percentage points with one digit; zero has no sign."""
    points = round(100 * fraction, 1)
    return f"{points:+.1f}" if points else "0.0"


def rate_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """A row per task, then all tasks: its name and one cell per column."""
    cells = {(rate["column"], rate["suite"], rate["task"]): rate_text(rate) for rate in table["rates"]}
    rows = [(task["name"], task["suite"], task["task"]) for task in table["tasks"]] + [(OVERALL, None, None)]
    return [[name, *(cells[column["name"], suite, task] for column in table["columns"])] for name, suite, task in rows]


def render_table(table: Mapping[str, Any]) -> str:
    """The whole table for a terminal: headline, rates, differences, failed checks, notes; no trailing newline."""
    header = ["", *(column_title(column) for column in table["columns"])]
    lines = [headline(table), *align([header, *rate_rows(table)])]
    differences = [
        [f"{d['treated']} - {d['control']}", f"{points_text(d)} points", f"{d['pairs']} paired units"]
        for d in table["differences"]
    ]
    if differences:
        lines += ["", *align(differences)]
    lines += [""] + [f"{_mark(check)} {check['name']}: {check['detail']}" for check in table["checks"]]
    return "\n".join(lines)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad columns to their widest cell, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _mark(check: Mapping[str, Any]) -> str:
    return {True: "ok  ", False: "FAIL", None: "--  "}[check["passed"]]
