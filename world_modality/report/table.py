"""From records to numbers: the comparison table as plain, JSON-serialisable data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from world_modality.evidence.detectable import smallest_detectable_difference
from world_modality.evidence.paired import paired_difference
from world_modality.evidence.proportions import Interval, wilson
from world_modality.report.checks import Check, run_checks
from world_modality.report.names import short_names
from world_modality.report.results import Place, Results, Trial
from world_modality.report.suites import suite_figures
from world_modality.rollout.records import Record
from world_modality.study.specs import ReportSpec

CONFIDENCE = 0.95
DECISIVE = 0.10
"""A study that cannot detect a difference of ten points is called too small to decide: published effects of
world models on LIBERO are a few points, and retraining alone moves a suite by about two."""

Table = dict[str, Any]


def build_table(spec: ReportSpec, results: Results, arms: Check) -> Table:
    """The whole table: rates, differences, checks and what they rest on. Fractions, never percent."""
    scenes = {trial.scene for trial in results.trials}
    detectable = smallest_detectable_difference(len(scenes) if _repeated(results) else len(results.trials))
    table: Table = {
        "study": spec.study,
        "label": spec.label,
        "sources": [list(pair) for pair in spec.sources],
        "columns": [_column(column, results) for column in results.columns],
        "seeds": list(results.seeds),
        "tasks": _tasks(results),
        "units_per_task": _units_per_task(results),
        "scenes": len(scenes),
        "trials_per_column": len(results.trials),
        "episodes": len(results.every()),
        "confidence": CONFIDENCE,
        "rates": [rate for column in results.columns for rate in _rates(column, results)],
        "differences": [_difference(treated, control, results) for treated, control in spec.differences],
        "suites": suite_figures(results, spec.differences, CONFIDENCE),
        "checks": [check.as_dict() for check in (arms, *run_checks(results))],
        "detectable": detectable,
        "too_few": detectable > DECISIVE,
    }
    table["notes"] = _notes(table)
    return table


def _repeated(results: Results) -> bool:
    """Whether any scene was rolled out more than once per column."""
    return len({trial.scene for trial in results.trials}) < len(results.trials)


def _units_per_task(results: Results) -> list[int]:
    """The distinct unit counts per task and seed; one number in a balanced study."""
    counts = Counter((trial.seed, trial.place) for trial in results.trials)
    return sorted(set(counts.values()))


def _column(name: str, results: Results) -> dict[str, str]:
    trained, rolled = results.modes(name)
    return {"name": name, "trained_memory": trained, "memory": rolled}


def _tasks(results: Results) -> list[dict[str, Any]]:
    first = results.records[results.columns[0]]
    languages = {trial.place: record.language for trial, record in first.items()}
    names = short_names(languages)
    several = len({suite for suite, _ in results.places}) > 1
    return [
        {
            "suite": suite,
            "task": task,
            "language": languages[suite, task],
            "name": f"{suite}: {names[suite, task]}" if several else names[suite, task],
        }
        for suite, task in results.places
    ]


def _rates(column: str, results: Results) -> list[dict[str, Any]]:
    """One row per task and, with task None, one over all tasks."""
    records = results.records[column]
    rows = [_rate(column, place, [r for t, r in records.items() if t.place == place]) for place in results.places]
    return [*rows, _rate(column, (None, None), list(records.values()))]


def _rate(column: str, place: Place | tuple[None, None], records: Sequence[Record]) -> dict[str, Any]:
    suite, task = place
    successes = sum(record.success for record in records)
    interval = wilson(successes, len(records), CONFIDENCE)
    found = {"column": column, "suite": suite, "task": task, "successes": successes, "units": len(records)}
    return {**found, **_limits(interval)}


def _difference(treated: str, control: str, results: Results) -> dict[str, Any]:
    trials = results.trials
    one, zero = (_outcomes(results.records[column], trials) for column in (treated, control))
    found = paired_difference(one, zero, [trial.scene for trial in trials], CONFIDENCE)
    return {
        "treated": treated,
        "control": control,
        "pairs": found.pairs,
        "scenes": found.clusters,
        "only_treated": found.only_treated,
        "only_control": found.only_control,
        **_limits(found.interval),
    }


def _outcomes(records: Mapping[Trial, Record], trials: Sequence[Trial]) -> list[bool]:
    return [records[trial].success for trial in trials]


def _limits(interval: Interval) -> dict[str, float]:
    return {
        "estimate": round(interval.estimate, 6),
        "low": round(interval.low, 6),
        "high": round(interval.high, 6),
    }


def _notes(table: Table) -> list[str]:
    """What the numbers can and cannot say, in sentences."""
    notes = []
    points = f"{100 * table['detectable']:.0f} points"
    if table["too_few"]:
        notes.append(f"Too few units to decide anything: the smallest detectable difference is {points}.")
    else:
        notes.append(f"The smallest detectable difference is {points} (two-sided alpha 0.05, power 0.8).")
    seeds = len(table["seeds"])
    notes.append(
        f"All intervals are 95% and speak about {'this checkpoint' if seeds == 1 else f'these {seeds} checkpoints'} "
        "per arm on scenes like these; how much another training run would differ is not in them."
    )
    if table["scenes"] < table["trials_per_column"]:
        notes.append(
            "Scenes were rolled out more than once: Wilson's intervals count every rollout as independent, "
            "the intervals of the differences allow for shared scenes."
        )
    notes.append(
        "Success rates: Wilson's intervals. Differences: paired by unit, Tango's intervals, "
        "not corrected for several comparisons."
    )
    return notes
