"""The table as files for other programs and papers: Markdown, LaTeX, CSV, JSON, and a summary."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from world_modality.report import diagnosis, offline_arms, offline_claims, progress
from world_modality.report.given import GIVEN_HEADER, given_rows, given_sentences
from world_modality.report.text import (
    ROBUSTNESS_HEADER,
    SCOPES,
    SUITE_HEADER,
    TASK_HEADER,
    answer,
    basis,
    condition_title,
    could_find_line,
    detectable_text,
    deviations,
    margin_header,
    margin_rows,
    mark_word,
    missing_row,
    offline_rows,
    plan_line,
    points_text,
    rate_rows,
    robustness_rows,
    rule,
    sentences,
    stopping_line,
    suite_difference_rows,
    suite_rate_rows,
    task_table,
    verdicts,
)
from world_modality.report.world_tokens import (
    TOKENS_HEADER,
    baseline_header,
    baseline_rows,
    tokens_sentences,
    usage_rows,
)

CSV_FIELDS = (
    "study",
    "label",  # in every line, so that a line on its own says that its assets were embedded
    "kind",
    "condition",
    "control",
    "claim",
    "scope",
    "primary",
    "word",
    "suite",
    "task",
    "successes",
    "episodes",
    "planned",
    "estimate",
    "low",
    "high",
    "only_condition",
    "only_control",
    "confidence",  # of the interval
    "p_greater",  # one-sided, of the whole claim
    "p_less",
    "p_holm",  # two-sided, of a task
    "detectable",
    "scenes",
    "seeds",  # how many the difference rests on
)
FORM = 1
"""Version of the file's form; larger once a field changes its meaning."""
CLAIM_FIELDS = (
    *("claim", "part", "scope", "primary", "treated", "control", "word", "sentence", "estimate", "low", "high"),
    *("confidence", "episodes", "scenes", "seeds", "detectable"),
)
SPECIAL = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


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
        conditions = {"condition": verdict["treated"], "only_condition": verdict["only_treated"]}
        writer.writerow({**origin, **verdict, **conditions, "kind": "difference"})
    for row in table["task_differences"]:
        where = {"claim": row["claim"], "suite": row["suite"], "task": row["index"], "control": row["control"]}
        for numbers in (row, row["recipe"]):
            writer.writerow(
                {**numbers, **origin, **where, "kind": "difference", "condition": row["treated"], "primary": False}
            )
    for row in _suite_csv_rows(table):
        writer.writerow({**origin, **sure, **row})
    for row in table["models"]["claims"] if table["models"] else ():
        own = {"kind": f"offline {row['figure']}", "condition": row["treated"], "scenes": row.get("episodes")}
        writer.writerow({**row, **origin, **own, "episodes": None})
    return out.getvalue()


def _suite_csv_rows(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines of the CSV file: a rate or difference of a suite has no task."""
    for figures in table["suites"]:
        for rate in figures["rates"]:
            yield {"kind": "rate", "suite": figures["suite"], **rate}
        for d in figures["differences"]:
            numbers = {
                name: d[name] for name in ("control", "estimate", "low", "high", "only_control", "scenes", "seeds")
            }
            own = {
                "scope": "checkpoint",
                "primary": False,
                "condition": d["treated"],
                "only_condition": d["only_treated"],
                "episodes": d["pairs"],
            }
            yield {"kind": "difference", "suite": figures["suite"], **own, **numbers}
    for row in table["robustness"]:
        numbers = {name: row[name] for name in ("condition", "suite", "estimate", "low", "high")}
        yield {"kind": "change", "control": row["base"], "episodes": row["rate"]["episodes"], **numbers}


def to_markdown(table: Mapping[str, Any]) -> str:
    """The table for a README or an issue."""
    parts = [
        f"# {table['study']}",
        f"**{answer(table)}**",
        f"{basis(table)}; {could_find_line(table)}" if table["judgement"] else basis(table),
        stopping_line(table),
        _bullets(sentences(table)),
        _grid(["task", *(condition_title(condition) for condition in table["conditions"])], rate_rows(table)),
        f"Successes/episodes with {100 * table['confidence']:.4g}% Wilson intervals in percent.",
        table["seeds_note"],
        _grid(
            [SUITE_HEADER, *(condition_title(condition) for condition in table["conditions"])], suite_rate_rows(table)
        ),
        _grid(["difference within a suite", "points [interval]", "paired episodes"], suite_difference_rows(table)),
        table["seeds_note"] if table["suites"] else "",
        _grid(ROBUSTNESS_HEADER, robustness_rows(table)),
        *_missing(table["missing"]),
        *_judgement(table),
        "## Gates",
        _bullets(f"{mark_word(gate['passed'])}: {gate['name']} ({gate['detail']})" for gate in table["gates"]),
        _bullets(table["notes"]),
        *_plan(table["plan"]),
        *diagnosis.section(table["diagnosis"]),
        *_prophet(table["prophet"]),
        *_margins(table["prophet_margins"]),
        *_offline(table["offline"]),
        *_tokens(table["tokens"]),
        *_models(table["models"]),
        *_given(table["given"]),
        "## What was real",
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
    header = ["claim", "scope", "points [interval]", "verdict", "episodes", "seeds", "could find"]
    rows = [
        [
            each["claim"],
            SCOPES[each["scope"]] + ("" if each["primary"] else " (secondary)"),
            points_text(each),
            each["word"],
            str(each["episodes"]),
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
        *progress.progress_section(table["progress"], _grid),
        *progress.distance_section(table["distance"], _grid),
    ]


def _tasks(rows: Sequence[Mapping[str, Any]], note: str) -> list[str]:
    """The differences task by task, in both scopes."""
    if not rows:
        return []
    told = " ".join(filter(None, ["Secondary: no verdict hangs on these.", note]))
    return ["## Task by task", told, _grid(TASK_HEADER, task_table(rows))]


def _others(table: Mapping[str, Any]) -> list[str]:
    """The differences across trainings by two other analyses, where there are seeds and tasks enough."""
    rows = [[row["claim"], row["method"], points_text(row), row["note"]] for row in table["other_analyses"]]
    if not rows:
        return []
    told = " ".join(filter(None, ["Other analyses across trainings; no verdict hangs on them.", table["seeds_note"]]))
    return [told, _grid(["claim", "analysis", "points [interval]", "note"], rows)]


def _missing(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which cells lack episodes."""
    if not cells:
        return []
    return ["## Missing", _grid(["condition", "seed", "suite", "task", "episodes", "state"], map(missing_row, cells))]


def _plan(plan: Mapping[str, Any] | None) -> list[str]:
    """Which plan was sealed, and the study's other ones."""
    if plan is None:
        return []
    return ["## Plan", f"{plan_line(plan)}.", _bullets(deviations(plan))]


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


def _margins(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """By how much Prophets foresee more than each baseline."""
    return ["## Prophet minus baseline", _grid(margin_header(rows), margin_rows(rows))] if rows else []


def _offline(found: dict[str, Any] | None) -> list[str]:
    """Every memory's action loss and error on demonstrated frames."""
    if found is None:
        return []
    kind = "held-out" if found["held_out"] else "training"
    return [
        f"## Memories offline, {found['frames']} {kind} frames",
        _grid(["memory: action loss / RMSE of chunks", *found["trainings"]], offline_rows(found)),
        _bullets(found["closed"]),
    ]


def _tokens(found: Mapping[str, Any] | None) -> list[str]:
    """How codebooks are used, and what is known of their tokens without a model."""
    if found is None:
        return []
    told = _bullets(tokens_sentences(found))
    baselines = _grid(baseline_header(found), baseline_rows(found))
    return ["## World tokens", told, _grid(TOKENS_HEADER, usage_rows(found)), baselines]


def _models(found: Mapping[str, Any] | None) -> list[str]:
    """Offline evaluations: errors, forecasts, corruption, and arm against arm."""
    if found is None:
        return []
    corrupted = offline_arms.corrupted_rows(found)
    return [
        f"## {offline_arms.TITLE}",
        _bullets(offline_arms.basis_lines(found)),
        _grid(offline_arms.ERRORS_HEADER, offline_arms.error_rows(found)),
        *(_grid(header, rows) for _, header, rows in offline_arms.forecast_grids(found)),
        _grid(offline_arms.CORRUPTED_HEADER, corrupted),
        _bullets(offline_arms.left_out(found)),
        _bullets(offline_claims.plan_lines(found)),
        _grid(offline_claims.CLAIMS_HEADER, offline_claims.claim_rows(found["claims"])),
        offline_arms.NOTE,
    ]


def _given(found: Mapping[str, Any] | None) -> list[str]:
    """What given checkpoints say of themselves."""
    if found is None:
        return []
    return ["## Given checkpoints", _bullets(given_sentences(found)), _grid(GIVEN_HEADER, given_rows(found))]


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    if not body:
        return ""
    lines = [list(header), ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def summary_of(table: Mapping[str, Any]) -> dict[str, Any]:
    """The verdicts, every condition's rate over all tasks, and what they rest on. Fractions; None for what is
    unknown."""
    judgement, plan = table["judgement"], table["plan"]
    return {
        "form": FORM,
        "study": table["study"],
        "label": table["label"],
        "complete": table["complete"],
        "headline": table["headline"],
        "withheld": judgement["withheld"] if judgement else "",
        "accepted": judgement["accepted"] if judgement else None,
        "seeds": table["seeds"],
        "plan": plan["digest"] if plan else None,
        "plan_sealed": plan["sealed"] if plan else None,
        "stopping": table["stopping"],
        "claims": [
            {name: verdict[name] for name in CLAIM_FIELDS} for verdict in (judgement["verdicts"] if judgement else ())
        ],
        "conditions": [
            {name: rate[name] for name in ("condition", "successes", "episodes", "planned", "estimate", "low", "high")}
            for rate in table["rates"]
            if rate["task"] is None
        ],
    }


def to_latex(table: Mapping[str, Any]) -> str:
    """Two tables: rates by task and condition, and every claim in the scope it is decided in. Needs booktabs alone.

    The caption says what the rates are of: the label names other assets than the benchmark's own, and the answer may be
    that there is none.
    """
    percent = f"{100 * table['confidence']:.4g}"
    conditions = [condition_title(condition) for condition in table["conditions"]]
    *tasks, overall = rate_rows(table)
    caption = f"{answer(table).removesuffix('.')}. Successes/episodes with {percent}% intervals in percent."
    caption = " ".join(filter(None, [caption, table["seeds_note"]]))
    rates = _tabular(["task", *conditions], [*tasks, overall], rule_before=len(tasks))
    parts = [f"% study {table['study']}", _floating(rates, caption, f"tab:{table['study']}")]
    decided = [each for each in verdicts(table) if each["primary"]]
    if decided:
        rows = [_claim_cells(each) for each in decided]
        header = ["claim", "scope", "points [interval]", "confidence", "verdict", "episodes"]
        told = " ".join(sentences(table)) or answer(table)
        parts.append(_floating(_tabular(header, rows), told, f"tab:{table['study']}-claims"))
    return "\n\n".join(parts) + "\n"


def _claim_cells(verdict: Mapping[str, Any]) -> list[str]:
    """A verdict's row; each has a confidence of its own, as looks before the last one share what there is."""
    confidence = "" if verdict["low"] is None else f"{100 * verdict['confidence']:.4g}%"
    cells = [verdict["claim"], SCOPES[verdict["scope"]], points_text(verdict), confidence, verdict["word"]]
    return [*cells, str(verdict["episodes"])]


def escape(text: str) -> str:
    """Plain text for LaTeX; ``<`` and ``>`` too, which old font encodings turn into other signs."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def _tabular(header: Sequence[str], rows: Sequence[Sequence[str]], rule_before: int | None = None) -> str:
    lines = [r"\begin{tabular}{@{}l" + "l" * (len(header) - 1) + r"@{}}", r"\toprule", _latex_row(header), r"\midrule"]
    for number, row in enumerate(rows):
        if number == rule_before and number:
            lines.append(r"\midrule")
        lines.append(_latex_row(row))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape, cells)) + r" \\"


def _floating(tabular: str, caption: str, label: str) -> str:
    parts = [r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}", rf"\label{{{label}}}"]
    return "\n".join([*parts, tabular, r"\end{table}"])
