"""Task by task: secondary, corrected for the number of tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from world_modality.evidence.contrast import contrast
from world_modality.evidence.effect import Effect, Levels
from world_modality.evidence.multiplicity import holm, shrink
from world_modality.evidence.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class TaskEffect:
    """``treated - control`` on one task, in both scopes.

    The effects' bounds and detectable differences are at ``alpha / 2`` over the number of tasks, so they hold for all
    tasks at once; their two-sided intervals are each task's own.
    """

    task: int
    checkpoint: Effect
    recipe: Effect
    checkpoint_p: float  # two-sided, Holm's over the tasks
    recipe_p: float
    shrunk: float  # the checkpoints' difference, drawn towards that of the other tasks


def task_effects(
    treated: Outcomes, control: Outcomes, same_checkpoints: bool, levels: Levels, key: str
) -> tuple[TaskEffect, ...]:
    """The difference of two columns on every task. ValueError unless both hold the same episodes, and at least one."""
    tasks = treated.tasks
    strict = replace(levels, alpha=levels.alpha / 2 / max(1, len(tasks)))
    pairs = [(treated.of_task(task), control.of_task(task)) for task in tasks]
    here = [
        contrast(one, two, "checkpoint", same_checkpoints, strict, f"{key} task {task}")
        for task, (one, two) in zip(tasks, pairs, strict=True)
    ]
    anew = [contrast(one, two, "recipe", same_checkpoints, strict, key) for one, two in pairs]
    quantile = 2 * float(norm.ppf(0.5 + levels.confidence / 2))
    errors = np.array([(effect.interval.high - effect.interval.low) / quantile for effect in here])
    shrunk = shrink(np.array([effect.estimate for effect in here]), errors)
    return tuple(
        TaskEffect(*row)
        for row in zip(
            tasks,
            here,
            anew,
            holm([effect.p_two_sided for effect in here]),
            holm([effect.p_two_sided for effect in anew]),
            shrunk.tolist(),
            strict=True,
        )
    )
