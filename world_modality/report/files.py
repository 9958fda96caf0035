"""The table as files that other programs read: Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from world_modality.report.by_task import TASK_HEADER, task_table
from world_modality.report.console import (
    answer,
    column_title,
    detectable_text,
    points_text,
    rate_rows,
    rule,
    sentences,
    verdicts,
)
from world_modality.report.offline import offline_rows
from world_modality.report.suite_rows import HEADER, suite_csv_rows, suite_difference_rows, suite_rate_rows

CSV_FIELDS = (
    "study",
    "label",  # in every line, so that a line on its own says that its assets were embedded
    "kind",
    "column",
    "control",
    "claim",
    "scope",
    "primary",
    "word",
    "suite",
    "task",
    "successes",
    "units",
    "planned",
    "estimate",
    "low",
    "high",
    "only_column",
    "only_control",
    "confidence",  # of the interval
    "p_greater",  # one-sided, of the whole claim
    "p_less",
    "p_holm",  # two-sided, of a task
    "detectable",
    "scenes",
    "seeds",  # how many the difference rests on
)


def to_json(table: Mapping[str, Any]) -> str:
    """Everything the table holds, indented, with a trailing newline. ValueError for what JSON has not, such as NaN."""
    return json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(table: Mapping[str, Any]) -> str:
    """One line per rate (kind "rate"; no task means all) and per claim and scope, of all tasks, one or a suite's
    (kind "difference"), in fractions."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    origin = {"study": table["study"], "label": table["label"]}
    sure = {"confidence": table["confidence"]}
    for rate in table["rates"]:
        writer.writerow({**origin, **sure, "kind": "rate", **rate})
    for verdict in verdicts(table):
        columns = {"column": verdict["treated"], "only_column": verdict["only_treated"]}
        writer.writerow({**origin, **verdict, **columns, "kind": "difference"})
    for row in table["task_differences"]:
        where = {"claim": row["claim"], "suite": row["suite"], "task": row["index"], "control": row["control"]}
        for numbers in (row, row["recipe"]):
            writer.writerow(
                {**numbers, **origin, **where, "kind": "difference", "column": row["treated"], "primary": False}
            )
    for row in suite_csv_rows(table):
        writer.writerow({**origin, **sure, **row})
    return out.getvalue()


def to_markdown(table: Mapping[str, Any]) -> str:
    """The table for a README or an issue."""
    parts = [
        f"# {table['study']}",
        answer(table),
        _bullets(sentences(table)),
        _grid(["task", *(column_title(column) for column in table["columns"])], rate_rows(table)),
        f"Successes/units with {100 * table['confidence']:.4g}% Wilson intervals in percent.",
        table["seeds_note"],
        _grid([HEADER, *(column_title(column) for column in table["columns"])], suite_rate_rows(table)),
        _grid(["difference within a suite", "points [interval]", "paired units"], suite_difference_rows(table)),
        table["seeds_note"] if table["suites"] else "",
        *_missing(table["missing"]),
        *_judgement(table),
        "## Gates",
        _bullets(f"{mark_word(gate['passed'])}: {gate['name']} ({gate['detail']})" for gate in table["gates"]),
        _bullets(table["notes"]),
        *_plan(table["plan"]),
        *_prophet(table["prophet"]),
        *_offline(table["offline"]),
        "## What was embedded and what was real",
        _grid(["part", "source"], table["sources"]),
        "## Versions",
        f"{table['episodes']} episodes; training seeds {', '.join(map(str, table['seeds']))}.",
        _grid(["software", "version"], sorted(table["versions"].items())),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _judgement(table: Mapping[str, Any]) -> list[str]:
    """The decision rule as a checklist, and every claim in both scopes."""
    if not table["judgement"]:
        return []
    header = ["claim", "scope", "points [interval]", "verdict", "units per arm", "seeds", "smallest detectable"]
    rows = [
        [
            each["claim"],
            each["scope"] + ("" if each["primary"] else " (secondary)"),
            points_text(each),
            each["word"],
            str(each["units"]),
            str(each["seeds"]),
            detectable_text(each),
        ]
        for each in verdicts(table)
    ]
    boxes = {True: "[x]", False: "[ ] refuted:", None: "[ ] open:"}
    return [
        "## Decision rule",
        _bullets(f"{boxes[item['passed']]} {item['part']} ({item['detail']})" for item in rule(table)),
        _grid(header, rows),
        _bullets(each["sentence"] for each in verdicts(table) if each["primary"] and not each["part"]),
        *_others(table),
        *_tasks(table["task_differences"], table["seeds_note"]),
    ]


def _tasks(rows: Sequence[Mapping[str, Any]], note: str) -> list[str]:
    """The differences task by task, in both scopes."""
    if not rows:
        return []
    told = " ".join(filter(None, ["Secondary: no verdict hangs on these.", note]))
    return ["## Task by task", told, _grid(TASK_HEADER, task_table(rows))]


def _others(table: Mapping[str, Any]) -> list[str]:
    """The recipe's differences by two other analyses, where there are seeds and tasks enough."""
    rows = [[row["claim"], row["method"], points_text(row), row["note"]] for row in table["other_analyses"]]
    if not rows:
        return []
    told = " ".join(filter(None, ["Other analyses of the recipe; no verdict hangs on them.", table["seeds_note"]]))
    return [told, _grid(["claim", "analysis", "points [interval]", "note"], rows)]


def _missing(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which cells lack units."""
    if not cells:
        return []
    return ["## Missing", _grid(["column", "seed", "suite", "task", "units", "state"], map(missing_row, cells))]


def missing_row(cell: Mapping[str, Any]) -> list[str]:
    """A cell that lacks units: its place, how many it has, how far it is."""
    place = [str(cell[name]) for name in ("column", "seed", "suite", "task")]
    return [*place, f"{cell['units']} of {cell['planned']}", cell["state"]]


def _plan(plan: Mapping[str, Any] | None) -> list[str]:
    """Which plan was sealed, and the study's other ones."""
    if plan is None:
        return []
    return ["## Plan", f"{plan_line(plan)}.", _bullets(deviations(plan))]


def plan_line(plan: Mapping[str, Any]) -> str:
    """The plan's digest and whether it was sealed."""
    return f"Plan {plan['digest']}, {'sealed' if plan['sealed'] else 'never sealed'}"


def deviations(plan: Mapping[str, Any]) -> list[str]:
    """One sentence per other plan that the study registered."""
    return [
        f"Another plan of this study, {other['digest']}, was sealed {other['sealed']}; from it to this one: "
        f"{'; '.join(other['changed'])}."
        for other in plan["others"]
    ]


def _prophet(found: Mapping[str, Any] | None) -> list[str]:
    """Skill per frame ahead, of every Prophet and of what it must beat."""
    if found is None:
        return []
    kind = "held-out episodes" if found["held_out"] else "training episodes (none was held out)"
    steps = len(found["rows"][0]["skill"])
    rows = [[row["name"], *("" if v is None else f"{v:.2f}" for v in row["skill"])] for row in found["rows"]]
    return [
        f"## Prophet skill, {kind}",
        _bullets(found["sentences"]),
        _grid(["1 - MSE / MSE of persistence", *(f"k={k}" for k in range(1, steps + 1))], rows),
    ]


def _offline(found: dict[str, Any] | None) -> list[str]:
    """Every memory's action loss and error on demonstrated frames."""
    if found is None:
        return []
    kind = "held-out" if found["held_out"] else "training"
    return [
        f"## Memories offline, {found['frames']} {kind} frames",
        _grid(["memory: action loss / RMSE of chunks", *found["columns"]], offline_rows(found)),
        _bullets(found["closed"]),
    ]


def mark_word(passed: bool | None) -> str:
    """How a gate ended, in a word."""
    return {True: "passed", False: "FAILED", None: "does not apply"}[passed]


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    if not body:
        return ""
    lines = [list(header), ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
