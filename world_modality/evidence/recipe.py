"""The effect of the recipe: training runs are the independent pieces."""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from world_modality.evidence.effect import Effect, Levels, unknown
from world_modality.evidence.outcomes import Floats
from world_modality.evidence.power import detectable_effect
from world_modality.evidence.rates import Interval

FEWEST_SEEDS = 3
"""Below, nothing is said about the recipe: two runs per arm leave one degree of freedom for how much runs differ."""


def welch(
    treated: Floats, control: Floats, levels: Levels, episodes: int, clusters: int, widest: float = 1.0
) -> Effect:
    """Welch's t-test of two independent groups of training runs (Welch 1947, Biometrika 34:28).

    Standard error ``sqrt(v1/n1 + v2/n2)`` with Satterthwaite's degrees of freedom.

    Args:
        treated: success rate per run of the treated arm, float [runs].
        control: the same of the control arm.
        levels: of tests and intervals.
        episodes: per arm, for the record.
        clusters: scenes, for the record.
        widest: no difference is larger than this; that of two rates is at most 1.
    """
    gap = float(treated.mean() - control.mean())
    runs = min(treated.size, control.size)
    counts = (episodes, clusters, runs)
    if few := _too_few(runs):
        return unknown("recipe", _WELCH, levels, gap, counts, few)
    parts = np.array([treated.var(ddof=1) / treated.size, control.var(ddof=1) / control.size])
    if parts.sum() <= _NOTHING:
        return unknown("recipe", _WELCH, levels, gap, counts, _ALIKE)
    freedom = float(parts.sum() ** 2 / (parts**2 / np.array([treated.size - 1, control.size - 1])).sum())
    error = float(np.sqrt(parts.sum()))
    return t_effect(_WELCH, gap, error, freedom, levels, counts, widest)


def paired_runs(differences: Floats, levels: Levels, episodes: int, clusters: int) -> Effect:
    """The one-sample t-test of per-seed differences between two memories of the same checkpoints; float [runs]."""
    gap, counts = float(differences.mean()), (episodes, clusters, differences.size)
    if few := _too_few(differences.size):
        return unknown("recipe", _PAIRED, levels, gap, counts, few)
    error = float(np.sqrt(differences.var(ddof=1) / differences.size))
    if error**2 <= _NOTHING:
        return unknown("recipe", _PAIRED, levels, gap, counts, _ALIKE)
    return t_effect(_PAIRED, gap, error, differences.size - 1.0, levels, counts)


_WELCH, _PAIRED = "Welch on seed means", "t-test of per-seed differences"
_NOTHING = 1e-18
_ALIKE = "no interval, since all trainings of an arm did equally well"


def _too_few(runs: int) -> str:
    if runs >= FEWEST_SEEDS:
        return ""
    return f"{runs} seed{'s' if runs != 1 else ''}, at least {FEWEST_SEEDS} needed"


def t_effect(
    method: str,
    gap: float,
    error: float,
    freedom: float,
    levels: Levels,
    counts: tuple[int, int, int],
    widest: float = 1.0,
) -> Effect:
    """An effect whose estimate over its standard error is t distributed; ``counts`` are episodes, clusters and
    seeds."""
    wide = float(t.ppf(0.5 + levels.confidence / 2, freedom)) * error
    narrow = float(t.isf(levels.alpha, freedom)) * error
    return Effect(
        "recipe",
        method,
        levels,
        Interval(gap, max(-widest, gap - wide), min(widest, gap + wide)),
        Interval(gap, max(-widest, gap - narrow), min(widest, gap + narrow)),
        float(t.sf(gap / error, freedom)),
        float(t.cdf(gap / error, freedom)),
        *counts,
        detectable_effect(error, freedom, levels.alpha, levels.power),
    )
