"""The recipe's differences by two other analyses, beside the one that decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from world_modality.evidence.effect import Effect
from world_modality.evidence.outcomes import Outcomes, cell_rates, clusters_of, common_units
from world_modality.evidence.plan import Plan
from world_modality.evidence.sensitivity import mixed_model, seed_task_blocks
from world_modality.report.numbers import effect_limits


def other_analyses(plan: Plan, columns: Mapping[str, Outcomes]) -> list[dict[str, Any]]:
    """Per claim the seed x task blocks and the mixed model: estimate and interval as fractions, and a note.

    They lean on more than seed means, so they need two seeds and two tasks, complete in both columns, and as many
    scenes of every task; other claims have no rows. Two memories of the same checkpoints share their runs, so they have
    no mixed model. No verdict hangs on them.
    """
    rows: list[dict[str, Any]] = []
    for claim in plan.claims:
        if claim.treated not in columns or claim.control not in columns:
            continue
        treated, control = common_units(columns[claim.treated], columns[claim.control])
        one, two = cell_rates(treated), cell_rates(control)
        if min(one.rate.shape, default=0) < 2 or np.unique(one.scenes).size > 1:
            continue
        clusters = clusters_of(treated, control)
        counts = (clusters.pairs, len(clusters))
        rows.append(_row(claim.name, seed_task_blocks(one, two, plan.levels, *counts), ""))
        if not claim.same_checkpoints:
            model = mixed_model(one, two, plan.levels, *counts)
            rows.append(_row(claim.name, model.effect, "" if model.converged else "did not converge"))
    return rows


def _row(claim: str, effect: Effect, note: str) -> dict[str, Any]:
    return {"claim": claim, "method": effect.method, **effect_limits(effect), "note": note}
