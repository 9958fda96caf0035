"""Rates and differences suite by suite, for a study that holds several: suites differ more than arms do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from world_modality.evidence.outcomes import Outcomes, clusters_of, common_units
from world_modality.evidence.paired import difference_of_clusters
from world_modality.evidence.rates import success_rate
from world_modality.report.numbers import limits
from world_modality.report.plan_of import task_number
from world_modality.study.specs import ReportSpec


def suite_figures(
    spec: ReportSpec, columns: Mapping[str, Outcomes], pairs: Iterable[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Per suite ``{"suite", "rates", "differences"}``; empty for a study of one suite.

    ``columns`` are as ``judged.columns_of`` gives them. A rate is as over all tasks; a difference of (treated, control)
    is of the units that both hold, with its interval at the effective number of scenes, and decides nothing: claims
    are about all tasks. A column or pair without a unit in the suite has no row.
    """
    pairs = list(dict.fromkeys(pairs))
    return [_figures(spec, suite, columns, pairs) for suite in spec.suites] if len(spec.suites) > 1 else []


def _figures(
    spec: ReportSpec, suite: str, columns: Mapping[str, Outcomes], pairs: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    tasks = {task_number(spec, cell.suite, cell.task) for cell in spec.cells if cell.suite == suite}
    own = {name: held.where(np.isin(held.task, list(tasks))) for name, held in columns.items()}
    own = {name: held for name, held in own.items() if len(held)}
    cells = {(cell.seed, cell.task) for cell in spec.cells if cell.suite == suite}
    planned = len(cells) * len(spec.init_states) * spec.repeats
    found = [_difference(spec, one, other, own) for one, other in pairs if one in own and other in own]
    return {
        "suite": suite,
        "rates": [_rate(spec, name, held, planned) for name, held in own.items()],
        "differences": [each for each in found if each],
    }


def _rate(spec: ReportSpec, column: str, held: Outcomes, planned: int) -> dict[str, Any]:
    interval = success_rate(held, spec.evidence.confidence)
    counts = {"successes": int(held.success.sum()), "units": len(held), "planned": planned}
    return {"column": column, **counts, **limits(interval)}


def _difference(spec: ReportSpec, treated: str, control: str, own: Mapping[str, Outcomes]) -> dict[str, Any]:
    one, other = common_units(own[treated], own[control])
    if not len(one):
        return {}
    found = difference_of_clusters(clusters_of(one, other), spec.evidence.confidence)
    return {
        "treated": treated,
        "control": control,
        "pairs": found.pairs,
        "scenes": found.clusters,
        "seeds": len(one.seeds),
        "only_treated": found.only_treated,
        "only_control": found.only_control,
        **limits(found.interval),
    }
