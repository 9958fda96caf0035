"""A graded outcome, such as progress from 0 to 1, compared on the same scenes: secondary, so it has no test."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from world_modality.evidence.checkpoint import ENOUGH_SCENES
from world_modality.evidence.outcomes import Floats, Ints, scene_ranks


@dataclass(frozen=True, slots=True)
class GradedDifference:
    """``treated - control`` of these checkpoints, every scene counting the same."""

    estimate: float
    low: float  # NaN, as ``high``, where too few scenes differ
    high: float
    pairs: int
    scenes: int


def graded_difference(task: Ints, init_state: Ints, gaps: Floats, confidence: float) -> GradedDifference:
    """The mean over scenes of a scene's mean difference, with a t interval; scenes are drawn within tasks.

    The standard error adds up the tasks', with Satterthwaite's degrees of freedom. Without an interval where a task has
    one scene, or fewer than ``ENOUGH_SCENES`` scenes differ at all: then the mean is far from normal.

    Args:
        task: of every pair of episodes, int [pairs].
        init_state: the same.
        gaps: the outcome's differences, float [pairs].
        confidence: of the two-sided interval.
    """
    if not gaps.size or not task.shape == init_state.shape == gaps.shape:
        raise ValueError("need one task and one initial state per difference, and at least one")
    tasks, _, index = scene_ranks(task, init_state)
    means = np.bincount(index, weights=gaps) / np.bincount(index)
    estimate, n = float(means.mean()), means.size
    counts = {int(each): int((tasks == each).sum()) for each in np.unique(tasks)}
    if min(counts.values()) < 2 or int((means != 0).sum()) < ENOUGH_SCENES:
        return GradedDifference(estimate, math.nan, math.nan, gaps.size, n)
    parts = np.array([means[tasks == each].var(ddof=1) * count / n**2 for each, count in counts.items()])
    spare = np.array([count - 1 for count in counts.values()])
    variance = float(parts.sum())
    if variance <= 0:
        return GradedDifference(estimate, estimate, estimate, gaps.size, n)
    freedom = variance**2 / float((parts**2 / spare).sum())
    half = float(t.ppf(0.5 + confidence / 2, freedom)) * math.sqrt(variance)
    return GradedDifference(estimate, max(-1.0, estimate - half), min(1.0, estimate + half), gaps.size, n)
