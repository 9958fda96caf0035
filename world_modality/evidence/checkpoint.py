"""The effect in these checkpoints: scenes are the independent pieces."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm

from world_modality.evidence.effect import Effect, Levels, unknown
from world_modality.evidence.outcomes import Clusters
from world_modality.evidence.paired import difference_of_clusters
from world_modality.evidence.power import detectable_effect
from world_modality.evidence.rates import Interval
from world_modality.evidence.resampling import cluster_bootstrap, sign_flip

ENOUGH_SCENES = 30
"""Scenes that must be other than most of their task before they are resampled: with fewer the bootstrap's intervals are
too short or degenerate, and Tango's score interval at the effective number of pairs covers better."""


def checkpoint_effect(clusters: Clusters, seeds: int, levels: Levels, generator: np.random.Generator) -> Effect:
    """``treated - control`` of the checkpoints that were rolled out, on scenes like these.

    P-values by sign flips over scenes. Interval by cluster bootstrap-t, or Tango's where too few scenes differ.

    Args:
        clusters: the paired differences by scene.
        seeds: how many checkpoints they come from.
        levels: of tests and intervals.
        generator: draws the resamples, and sign vectors where the test is not exact.
    """
    test = sign_flip(clusters.total, clusters.episodes, generator)
    if len(clusters) < 2:
        return unknown(
            "checkpoint", "none", levels, clusters.estimate, (clusters.pairs, len(clusters), seeds), "only one scene"
        )
    how, interval, bounds, error = _intervals(clusters, levels, generator)
    # With few scenes the interval may be the narrower of the two; what the test does not exclude stays possible.
    bounds = Interval(
        bounds.estimate,
        bounds.low if test.p_greater <= levels.alpha else min(bounds.low, 0.0),
        bounds.high if test.p_less <= levels.alpha else max(bounds.high, 0.0),
    )
    return Effect(
        "checkpoint",
        f"sign flips over scenes ({'exact' if test.exact else 'drawn'}), {how}",
        levels,
        interval,
        bounds,
        test.p_greater,
        test.p_less,
        clusters.pairs,
        len(clusters),
        seeds,
        detectable_effect(error, math.inf, levels.alpha, levels.power),
    )


def _intervals(
    clusters: Clusters, levels: Levels, generator: np.random.Generator
) -> tuple[str, Interval, Interval, float]:
    """Method, two-sided interval, one-sided bounds, standard error."""
    narrow = 1 - 2 * levels.alpha
    if _too_alike(clusters):
        interval = difference_of_clusters(clusters, levels.confidence).interval
        error = (interval.high - interval.low) / 2 / float(norm.ppf(0.5 + levels.confidence / 2))
        bounds = difference_of_clusters(clusters, narrow).interval
        return "Tango's interval at the effective number of pairs", interval, bounds, error
    resampled = cluster_bootstrap(clusters, generator)
    return "cluster bootstrap-t", resampled.interval(levels.confidence), resampled.interval(narrow), resampled.error


def _too_alike(clusters: Clusters) -> bool:
    """Whether too few scenes differ to resample them: a task's scenes from what most of them are.

    That is mostly no difference, but one arm may always succeed and the other never: then they all are alike, too.
    """
    tasks = [clusters.means[clusters.task == task] for task in np.unique(clusters.task)]
    odd = sum(own.size - int(np.unique(own, return_counts=True)[1].max()) for own in tasks)
    return odd < ENOUGH_SCENES or any(own.size < 2 for own in tasks)
