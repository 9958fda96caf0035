"""The table as plain text: for the end of a run. Imports nothing heavy."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from world_modality.evidence.points import points
from world_modality.report.text_grid import grid

OVERALL = "all tasks"
WIDTH = 140  # columns of text that a headline is wrapped at
WITHHELD = "withheld"
MARKS = {True: "passed", False: "FAILED", None: "open"}


def column_title(column: Mapping[str, Any]) -> str:
    """The column's name, with the memory it was rolled out with where the name does not tell: ``E2 pred``."""
    name, memory = str(column["name"]), str(column["memory"])
    return name if memory == "disabled" or memory in name else f"{name} {memory}"


def rate_text(rate: Mapping[str, Any]) -> str:
    """``3/4 [30-95]``: successes, units, and the interval in percent; ``2/3 [21-94] of 4`` where units are missing."""
    missing = f" of {rate['planned']}" if rate["units"] < rate["planned"] else ""
    if not rate["units"]:
        return f"missing{missing}"
    return f"{rate['successes']}/{rate['units']} [{100 * rate['low']:.0f}-{100 * rate['high']:.0f}]{missing}"


def points_text(difference: Mapping[str, Any]) -> str:
    """``+8.3 [-12.0, +28.1]`` in percentage points; without the interval where nothing is known about it."""
    estimate = points(difference["estimate"], signed=True)
    if difference["low"] is None:
        return f"{estimate} [no interval]"
    low, high = (points(difference[limit], signed=True) for limit in ("low", "high"))
    return f"{estimate} [{low}, {high}]"


def detectable_text(verdict: Mapping[str, Any]) -> str:
    """The smallest detectable difference in points: "none" if only one above 100 is; empty where that is not known."""
    smallest = verdict["detectable"]
    if smallest is None:
        return ""
    return points(smallest) if smallest <= 1 else "none"


def p_text(p: float | None) -> str:
    """``0.031``, and ``< 1e-06`` for anything below; empty where p is not known."""
    if p is None:
        return ""
    return "< 1e-06" if p < 1e-6 else f"{p:.2g}"


def p_told(p: float) -> str:
    """``p = 0.031`` or ``p < 1e-06``."""
    told = p_text(p)
    return f"p {told}" if told.startswith("<") else f"p = {told}"


def answer(table: Mapping[str, Any]) -> str:
    """The study's answer in one line: the label, and what became of the decision rule."""
    judgement = table["judgement"]
    if not judgement or judgement["withheld"]:
        return str(table["headline"])
    parts = {state: [item["part"] for item in judgement["rule"] if item["passed"] is state] for state in MARKS}
    if judgement["accepted"]:
        told = f"yes: {', '.join(parts[True])}"
    elif parts[False]:
        told = f"no: refuted that {' and that '.join(parts[False])}"
    else:
        told = f"cannot tell: open whether {' and whether '.join(parts[None])}"
        if lacking := [need for item in judgement["rule"] for need in item.get("not_asked", ())]:
            told += f"; not asked: {', '.join(lacking)}"
    return f"{table['label']}: {told}"


def sentences(table: Mapping[str, Any]) -> list[str]:
    """The rule's verdicts, a sentence each; none where nothing is compared or the verdict is withheld."""
    judgement = table["judgement"]
    return [] if not judgement or judgement["withheld"] else list(judgement["sentences"])


def verdicts(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every claim's verdict in the scope in which it is decided, then the others; empty where nothing is compared.

    Their word is "withheld" where a gate has failed: "cannot tell" is what data say.
    """
    judgement = table["judgement"]
    if not judgement:
        return []
    return [each | {"word": WITHHELD} if judgement["withheld"] else each for each in judgement["verdicts"]]


def rule(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The decision rule's parts; empty where nothing is compared."""
    return list(table["judgement"]["rule"]) if table["judgement"] else []


def rate_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """A row per task, then all tasks: its name and one cell per column."""
    cells = {(rate["column"], rate["suite"], rate["task"]): rate_text(rate) for rate in table["rates"]}
    rows = [(task["name"], task["suite"], task["task"]) for task in table["tasks"]] + [(OVERALL, None, None)]
    return [[name, *(cells[column["name"], suite, task] for column in table["columns"])] for name, suite, task in rows]


def render_table(table: Mapping[str, Any]) -> str:
    """The whole table for a terminal: verdict, rates, differences, decision rule, gates; no trailing newline."""
    header = ["", *(column_title(column) for column in table["columns"])]
    lines = textwrap.wrap(answer(table), WIDTH)
    for each in sentences(table):
        lines += textwrap.wrap(each, WIDTH, initial_indent="- ", subsequent_indent="  ")
    lines += ["", *grid([header, *rate_rows(table)]), *filter(None, [table["seeds_note"]])]
    differences = [
        [each["claim"], each["scope"], f"{points_text(each)} points", each["word"], f"{each['units']} units per arm"]
        for each in verdicts(table)
    ]
    if differences:
        lines += ["", *grid(differences)]
        lines += ["", *(f"{MARKS[item['passed']]:<7} {item['part']} ({item['detail']})" for item in rule(table))]
    lines += [""] + [f"{_mark(gate)} {gate['name']}: {gate['detail']}" for gate in table["gates"]]
    return "\n".join(lines)


def _mark(gate: Mapping[str, Any]) -> str:
    return {True: "ok  ", False: "FAIL", None: "--  "}[gate["passed"]]
