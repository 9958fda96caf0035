"""How far success drops where a suite's tasks are perturbed: each perturbed suite beside the one that it perturbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.rates import stratified_difference, success_rate
from world_modality.facts.benchmarks import SUITES
from world_modality.report.claims import task_number
from world_modality.report.judgement import limits
from world_modality.study.looks import scenes_per_task
from world_modality.study.specs import ReportSpec


def drops(spec: ReportSpec, conditions: Mapping[str, Outcomes]) -> list[dict[str, Any]]:
    """A row per perturbed suite and condition; none where a study has no suite together with one that perturbs it.

    ``conditions`` as ``conditions_of`` gives them. The difference is over the tasks of which both suites have episodes.
    Its interval is of independent rates: no episode is paired, since a perturbed task's recorded scenes are others than
    those of the task with the same number.
    """
    rows = []
    for suite in spec.suites:
        base = SUITES[suite].perturbs if suite in SUITES else None
        if base not in spec.suites:
            continue
        for name, held in conditions.items():
            with_it, without = _of(spec, suite, held), _of(spec, base, held)
            if set(with_it.tasks) & set(without.tasks):
                rows.append(_row(spec, suite, base, name, with_it, without))
    return rows


def _of(spec: ReportSpec, suite: str, held: Outcomes) -> Outcomes:
    """A suite's episodes, tasks numbered as in the suite: perturbed ones have the numbers of what they perturb."""
    own = {task_number(spec, suite, cell.task): cell.task for cell in spec.cells if cell.suite == suite}
    chosen = held.where(np.isin(held.task, list(own)))
    return replace(chosen, task=np.array([own[task] for task in chosen.task.tolist()], np.int64))


def _row(
    spec: ReportSpec, suite: str, base: str, condition: str, with_it: Outcomes, without: Outcomes
) -> dict[str, Any]:
    return {
        "suite": suite,
        "base": base,
        "perturbation": SUITES[suite].perturbation,
        "condition": condition,
        "rate": _rate(spec, suite, with_it),
        "base_rate": _rate(spec, base, without),
        **limits(stratified_difference(with_it, without, spec.evidence.confidence)),
    }


def _rate(spec: ReportSpec, suite: str, held: Outcomes) -> dict[str, Any]:
    cells = {(cell.seed, cell.task) for cell in spec.cells if cell.suite == suite}
    planned = len(cells) * scenes_per_task(spec) * spec.repeats
    counts = {"successes": int(held.success.sum()), "episodes": len(held), "planned": planned}
    return {**counts, **limits(success_rate(held, spec.evidence.confidence))}
