"""The table as files that other programs read: Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from world_modality.report.console import column_title, headline, points_text, rate_rows
from world_modality.report.offline import offline_rows
from world_modality.report.suite_rows import HEADER, suite_csv_rows, suite_difference_rows, suite_rate_rows

CSV_FIELDS = (
    "study",
    "label",  # in every line, so that a line on its own says that its assets were embedded
    "kind",
    "column",
    "control",
    "suite",
    "task",
    "successes",
    "units",
    "estimate",
    "low",
    "high",
    "only_column",
    "only_control",
)


def to_json(table: Mapping[str, Any]) -> str:
    """Everything the table holds, indented, with a trailing newline."""
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def to_csv(table: Mapping[str, Any]) -> str:
    """One line per rate (kind "rate"; no task means all) and per difference (kind "difference"), in fractions."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_FIELDS, lineterminator="\n")
    writer.writeheader()
    origin = {"study": table["study"], "label": table["label"]}
    for rate in table["rates"]:
        writer.writerow({**origin, "kind": "rate", **rate})
    for d in table["differences"]:
        row = {name: d[name] for name in ("control", "estimate", "low", "high", "only_control")}
        writer.writerow(
            {
                **origin,
                "kind": "difference",
                "column": d["treated"],
                "only_column": d["only_treated"],
                "units": d["pairs"],
                **row,
            }
        )
    for row in suite_csv_rows(table):
        writer.writerow({**origin, **row})
    return out.getvalue()


def to_markdown(table: Mapping[str, Any]) -> str:
    """The table for a README or an issue."""
    parts = [
        f"# {table['study']}",
        headline(table),
        _grid(["task", *(column_title(column) for column in table["columns"])], rate_rows(table)),
        _grid([HEADER, *(column_title(column) for column in table["columns"])], suite_rate_rows(table)),
        "Successes/units with 95% Wilson intervals in percent.",
        _grid(
            ["difference", "points [95%]", "paired units", "scenes", "only the first succeeds", "only the second"],
            [
                [
                    f"{d['treated']} - {d['control']}",
                    points_text(d),
                    str(d["pairs"]),
                    str(d["scenes"]),
                    str(d["only_treated"]),
                    str(d["only_control"]),
                ]
                for d in table["differences"]
            ],
        ),
        _grid(["difference within a suite", "points [95%]", "paired units"], suite_difference_rows(table)),
        _bullets(table["notes"]),
        *_prophet(table["prophet"]),
        *_offline(table["offline"]),
        "## Checks",
        _bullets(f"{mark_word(check['passed'])}: {check['name']} ({check['detail']})" for check in table["checks"]),
        "## What was embedded and what was real",
        _grid(["part", "source"], table["sources"]),
        "## Cost and versions",
        f"{table['episodes']} episodes; training seeds {', '.join(map(str, table['seeds']))}.",
        _grid(["stage", "runs", "hours"], cost_rows(table)),
        _grid(["software", "version"], sorted(table["versions"].items())),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


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
    """How a check ended, in a word."""
    return {True: "passed", False: "FAILED", None: "does not apply"}[passed]


def cost_rows(table: Mapping[str, Any]) -> list[list[str]]:
    """A row per stage: its name, how many ran, their summed wall time in hours."""
    return [[cost["stage"], str(cost["runs"]), f"{cost['seconds'] / 3600:.2f}"] for cost in table["wall_time"]]


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    if not body:
        return ""
    lines = [list(header), ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
