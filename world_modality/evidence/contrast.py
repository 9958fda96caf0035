"""One claim, one scope, one set of outcomes: the effect by the method that the protocol names for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from world_modality.evidence.betting import betting_p, betting_sequence, in_random_order
from world_modality.evidence.checkpoint import checkpoint_effect
from world_modality.evidence.effect import Effect, Levels, Scope, unknown
from world_modality.evidence.outcomes import Floats, Outcomes, cell_rates, clusters_of
from world_modality.evidence.power import detectable_effect
from world_modality.evidence.rates import Interval, normal_quantile
from world_modality.evidence.recipe import paired_runs, welch
from world_modality.evidence.resampling import keyed_generator


def contrast(
    treated: Outcomes, control: Outcomes, scope: Scope, same_checkpoints: bool, levels: Levels, key: str
) -> Effect:
    """``treated - control`` on the same episodes, in one scope.

    checkpoint: sign flips and bootstrap over scenes. recipe: the t-test of per-seed differences where both conditions
    are
    rollouts of the same checkpoints, Welch on seed means otherwise; seeds that lack a task are left out there.
    ``key`` names the random draws. ValueError unless both arms hold the same episodes, and at least one.
    """
    clusters = clusters_of(treated, control)
    if scope == "checkpoint":
        return checkpoint_effect(clusters, len(treated.seeds), levels, keyed_generator("checkpoint", key))
    one, two = _seed_means(treated), _seed_means(control)
    if not one.size:
        counts = (clusters.pairs, len(clusters), 0)
        return unknown(
            "recipe", "none", levels, clusters.estimate, counts, "no training seed has episodes of every task yet"
        )
    if same_checkpoints:
        return paired_runs(one - two, levels, clusters.pairs, len(clusters))
    return welch(one, two, levels, clusters.pairs, len(clusters))


def _seed_means(outcomes: Outcomes) -> Floats:
    means = cell_rates(outcomes).means
    return np.asarray(means[~np.isnan(means)])


def watched_contrast(treated: Outcomes, control: Outcomes, seeds: Sequence[int], levels: Levels, key: str) -> Effect:
    """``treated - control`` of the same checkpoints, valid however often it is looked at while seeds come in.

    ``seeds`` are those of both arms in the order they were trained; each seed's scenes enter in a random order fixed by
    ``key``, so a later look sees the earlier ones' sequence and more. The interval is a betting confidence sequence,
    and the p-values are those of the betting test; both at the levels' full alpha.
    """
    gaps = watched_gaps(treated, control, seeds, key)
    scenes = clusters_of(treated, control)
    estimate = float(gaps.mean())
    interval = _last(gaps, levels.confidence, estimate)
    error = float(gaps.std() / np.sqrt(max(1, gaps.size - 1)))
    if error <= 0:  # memories that never disagree may do so elsewhere, within the interval
        error = (interval.high - interval.low) / 2 / normal_quantile(levels.confidence)
    return Effect(
        "checkpoint",
        "betting over scenes",
        levels,
        interval,
        _last(gaps, 1 - 2 * levels.alpha, estimate),
        betting_p(gaps, levels.alpha),
        betting_p(-gaps, levels.alpha),
        scenes.pairs,
        len(scenes),
        len(seeds),
        # A betting test at level alpha finds at best what a fixed test at alpha would with as many scenes.
        detectable_effect(error, np.inf, levels.alpha, levels.power),
    )


def watched_gaps(treated: Outcomes, control: Outcomes, seeds: Sequence[int], key: str) -> Floats:
    """What ``watched_contrast`` bets on: the differences scene by scene, seed after seed; float [seeds x scenes]."""
    parts = []
    for seed in seeds:
        clusters = clusters_of(treated.of_seeds([seed]), control.of_seeds([seed]))
        parts.append(in_random_order(clusters, keyed_generator("order", key, seed)))
    return np.concatenate(parts)


def _last(gaps: Floats, confidence: float, estimate: float) -> Interval:
    sequence = betting_sequence(gaps, confidence)
    return Interval(estimate, min(estimate, float(sequence.low[-1])), max(estimate, float(sequence.high[-1])))


def at_level(levels: Levels, alpha: float, tail: float) -> Levels:
    """The levels of one look: ``alpha`` per one-sided test, ``tail`` outside each end of the two-sided interval."""
    return replace(levels, alpha=alpha, confidence=1 - 2 * tail)
