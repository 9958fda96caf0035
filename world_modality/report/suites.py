"""Rates and differences suite by suite, for a study that holds several: suites differ more than arms do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from world_modality.evidence.paired import paired_difference
from world_modality.evidence.proportions import Interval, wilson
from world_modality.report.results import Results, Trial
from world_modality.rollout.records import Record


def suite_figures(
    results: Results, differences: Iterable[tuple[str, str]], confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Per suite ``{"suite", "rates", "differences"}``, as the table has them over all tasks; empty for one suite.

    A rate is Wilson's, a difference (treated, control) is paired by unit over those that both columns hold, Tango's or
    by clusters of one scene. A suite that a column holds nothing of has no row of that column.
    """
    suites = sorted({suite for suite, _ in results.places})
    pairs = list(differences)
    return [_figures(suite, results, pairs, confidence) for suite in suites] if len(suites) > 1 else []


def _figures(suite: str, results: Results, pairs: Sequence[tuple[str, str]], confidence: float) -> dict[str, Any]:
    own = {
        column: {trial: record for trial, record in results.records[column].items() if trial.suite == suite}
        for column in results.columns
    }
    rates = [_rate(column, records, confidence) for column, records in own.items() if records]
    found = [_difference(one, other, own[one], own[other], confidence) for one, other in pairs]
    return {"suite": suite, "rates": rates, "differences": [each for each in found if each["pairs"]]}


def _rate(column: str, records: Mapping[Trial, Record], confidence: float) -> dict[str, Any]:
    successes = sum(record.success for record in records.values())
    interval = wilson(successes, len(records), confidence)
    return {"column": column, "successes": successes, "units": len(records), **_limits(interval)}


def _difference(
    treated: str, control: str, one: Mapping[Trial, Record], other: Mapping[Trial, Record], confidence: float
) -> dict[str, Any]:
    shared = [trial for trial in one if trial in other]
    if not shared:
        return {"pairs": 0}
    with_treatment, without = ([records[trial].success for trial in shared] for records in (one, other))
    found = paired_difference(with_treatment, without, [trial.scene for trial in shared], confidence)
    return {
        "treated": treated,
        "control": control,
        "pairs": found.pairs,
        "scenes": found.clusters,
        "only_treated": found.only_treated,
        "only_control": found.only_control,
        **_limits(found.interval),
    }


def _limits(interval: Interval) -> dict[str, float]:
    return {name: round(getattr(interval, name), 6) for name in ("estimate", "low", "high")}
