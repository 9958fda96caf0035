"""From records to numbers: the comparison table as plain, JSON-serialisable data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.evidence.gates import Gate
from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.plan import Plan
from world_modality.evidence.rates import success_rate
from world_modality.report.judged import columns_of, gate_row, judged
from world_modality.report.names import short_names
from world_modality.report.numbers import limits
from world_modality.report.plan_of import task_number
from world_modality.report.results import Place, Results
from world_modality.report.suites import suite_figures
from world_modality.study.specs import ReportColumn, ReportSpec

Table = dict[str, Any]


def build_table(spec: ReportSpec, results: Results, plan: Plan | None, gates: Sequence[Gate]) -> Table:
    """The whole table: rates, judgement, gates and what they rest on. Fractions, never percent.

    ``judgement`` is None for a study that compares nothing. A cell without units has no estimate.
    """
    outcomes = columns_of(spec, results)
    judgement = judged(plan, outcomes, gates) if plan else None
    table: Table = {
        "study": spec.study,
        "label": spec.label,
        "sources": [list(pair) for pair in spec.sources],
        "columns": [_column(column) for column in spec.columns],
        "seeds": list(results.seeds),
        "tasks": _tasks(results),
        "units_per_task": len(spec.init_states) * spec.repeats,
        "scenes": len({trial.scene for trial in results.trials}),
        "trials_per_column": len(results.trials),
        "episodes": sum(len(records) for records in results.records.values()),
        "complete": not any(results.missing(column) for column in results.columns),
        "confidence": spec.evidence.confidence,
        "rates": [rate for column in results.columns for rate in _rates(spec, column, outcomes.get(column), results)],
        "suites": suite_figures(spec, outcomes, _compared(plan)),
        "judgement": judgement,
        "gates": judgement["gates"] if judgement else [gate_row(gate) for gate in gates],
    }
    table["headline"] = judgement["headline"] if judgement else f"{spec.label}: one arm, nothing is compared."
    table["notes"] = _notes(table)
    table["seeds_note"] = _seeds_note(plan, judgement, outcomes)
    return table


def _seeds_note(plan: Plan | None, judgement: Mapping[str, Any] | None, columns: Mapping[str, Outcomes]) -> str:
    """Which seeds everything but the verdicts rests on, where the verdicts rest on fewer; else empty.

    At a look the verdicts are those of complete seeds, and one that an earlier look decided is that look's.
    """
    if plan is None or judgement is None or judgement["withheld"]:
        return ""
    held = tuple(sorted({seed for outcomes in columns.values() for seed in outcomes.seeds}))
    looks = [plan.seeds[:count] for count in sorted({verdict["seeds"] for verdict in judgement["verdicts"]})]
    if all(set(seeds) == set(held) for seeds in looks):
        return ""
    told = " or ".join(", ".join(map(str, seeds)) for seeds in looks)
    which = "rest on seeds" if len(looks) == 1 else "rest, each as the look that decided it, on seeds"
    return f"All units so far, of training seeds {', '.join(map(str, held))}; the verdicts {which} {told}."


def _compared(plan: Plan | None) -> list[tuple[str, str]]:
    """The columns that claims are about, also where the verdict is withheld."""
    return [(claim.treated, claim.control) for claim in plan.claims] if plan else []


def _column(column: ReportColumn) -> dict[str, str]:
    return {
        "name": column.name,
        "arm": column.arm,
        "trained_memory": column.trained,
        "memory": column.rolled,
    }


def task_names(spec: ReportSpec, results: Results) -> dict[int, str]:
    """What a reader calls each task, by its number in the plan."""
    return {task_number(spec, task["suite"], task["task"]): task["name"] for task in _tasks(results)}


def _tasks(results: Results) -> list[dict[str, Any]]:
    told = {trial.place: record.language for held in results.records.values() for trial, record in held.items()}
    unknown = {place: f"task {place[1]}" for place in results.places}
    languages, names = unknown | told, unknown | short_names(told)
    several = len({suite for suite, _ in results.places}) > 1
    return [
        {
            "suite": suite,
            "task": task,
            "language": languages[suite, task],
            "name": f"{names[suite, task]} ({suite})" if several else names[suite, task],
        }
        for suite, task in results.places
    ]


def _rates(spec: ReportSpec, column: str, outcomes: Outcomes | None, results: Results) -> list[dict[str, Any]]:
    """One row per task and, with task None, one over all tasks."""
    own = {place: outcomes.of_task(task_number(spec, *place)) if outcomes else None for place in results.places}
    planned = len(results.trials) // len(results.places)
    rows = [_rate(spec, column, place, own[place], planned) for place in results.places]
    return [*rows, _rate(spec, column, (None, None), outcomes, len(results.trials))]


def _rate(
    spec: ReportSpec, column: str, place: Place | tuple[None, None], outcomes: Outcomes | None, planned: int
) -> dict[str, Any]:
    suite, task = place
    units = len(outcomes) if outcomes else 0
    found = {"column": column, "suite": suite, "task": task, "units": units, "planned": planned}
    if outcomes is None or not units:
        return {**found, "successes": 0, "estimate": None, "low": None, "high": None}
    rate = success_rate(outcomes, spec.evidence.confidence)
    return {**found, "successes": int(outcomes.success.sum()), **limits(rate)}


def _notes(table: Mapping[str, Any]) -> list[str]:
    """What the numbers can and cannot say, in sentences."""
    seeds, percent = len(table["seeds"]), f"{100 * table['confidence']:.4g}%"
    checkpoints = "this checkpoint" if seeds == 1 else f"these {seeds} checkpoints"
    notes = []
    if any(part == "simulator assets" and source.startswith("embedded") for part, source in table["sources"]):
        notes.append(
            "The simulator's assets are stand-ins that come with this package: no rate here is a LIBERO score."
        )
    if not table["complete"]:
        notes.append("The study is not complete: rates and differences are those of the units that are there.")
    notes.append(
        f"Success rates: Wilson's {percent} intervals, at the effective number of units where scenes repeat; they "
        f"speak about {checkpoints} per arm on scenes like these."
    )
    if table["judgement"]:
        notes.append(
            f"Differences, scope checkpoint: {checkpoints} per arm on scenes like these. Scope recipe: what training "
            "anew with another seed would do. A claim is decided in one of the two; the other is shown beside it."
        )
        notes.append("A difference is called by one of four words: helps, hurts, equivalent or cannot tell.")
    return notes
