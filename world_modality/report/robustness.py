"""How far success drops where a suite's tasks are perturbed: each perturbed suite beside the one that it perturbs."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot
from typing import Any

import numpy as np

from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.rates import Interval, success_rate
from world_modality.facts.benchmarks import SUITES
from world_modality.report.claims import task_number
from world_modality.study.specs import ReportSpec


def drops(spec: ReportSpec, conditions: Mapping[str, Outcomes]) -> list[dict[str, Any]]:
    """A row per perturbed suite and condition; none where a study has no suite together with one that perturbs it.

    ``conditions`` as ``conditions_of`` gives them. The interval is of the difference of two independent rates: nothing
    is paired, since a perturbed task's recorded scenes are others than those of the task with the same number.
    """
    rows = []
    for suite in spec.suites:
        base = SUITES[suite].perturbs if suite in SUITES else None
        if base not in spec.suites:
            continue
        for name, held in conditions.items():
            with_it, without = _of(spec, suite, held), _of(spec, base, held)
            if len(with_it) and len(without):
                rows.append(_row(suite, base, name, with_it, without, spec.evidence.confidence))
    return rows


def _of(spec: ReportSpec, suite: str, held: Outcomes) -> Outcomes:
    tasks = {task_number(spec, cell.suite, cell.task) for cell in spec.cells if cell.suite == suite}
    return held.where(np.isin(held.task, list(tasks)))


def _row(
    suite: str, base: str, condition: str, with_it: Outcomes, without: Outcomes, confidence: float
) -> dict[str, Any]:
    one, other = success_rate(with_it, confidence), success_rate(without, confidence)
    low, high = newcombe(one, other)
    return {
        "suite": suite,
        "base": base,
        "perturbation": SUITES[suite].perturbation,
        "condition": condition,
        "rate": _rate(with_it, one),
        "base_rate": _rate(without, other),
        "estimate": one.estimate - other.estimate,
        "low": low,
        "high": high,
    }


def _rate(held: Outcomes, interval: Interval) -> dict[str, Any]:
    counts = {"successes": int(held.success.sum()), "episodes": len(held), "planned": len(held)}
    return {**counts, "estimate": interval.estimate, "low": interval.low, "high": interval.high}


def newcombe(one: Interval, other: Interval) -> tuple[float, float]:
    """The interval of the difference ``one - other`` of two independent rates, from an interval of each.

    Newcombe 1998, Statistics in Medicine 17:873, method 10: d - sqrt((p1 - l1)^2 + (u2 - p2)^2) and
    d + sqrt((u1 - p1)^2 + (p2 - l2)^2).
    """
    difference = one.estimate - other.estimate
    low = difference - hypot(one.estimate - one.low, other.high - other.estimate)
    high = difference + hypot(one.high - one.estimate, other.estimate - other.low)
    return low, high
