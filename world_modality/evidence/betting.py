"""Watching a placebo contrast scene by scene: intervals and tests that hold at every moment at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from world_modality.evidence.outcomes import Clusters, Floats

GRID = 2_000
"""Candidate differences between -1 and 1 are this many steps apart."""
_TRUNCATION = 0.5  # of the largest bet that cannot ruin the gambler


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceSequence:
    """Element t bounds the mean after t + 1 scenes; all elements hold at once with the sequence's confidence."""

    low: Floats  # [scenes], ascending
    high: Floats  # [scenes], descending


def betting_sequence(differences: Floats, confidence: float = 0.95) -> ConfidenceSequence:
    """The hedged-capital confidence sequence of the mean of differences in [-1, 1], float [scenes].

    A gambler bets against every candidate mean m; where m is true the capital is a martingale and exceeds ``1 / alpha``
    ever with probability at most alpha (Ville), so the means at which it never did are the interval (Waudby-Smith and
    Ramdas 2024, JRSS B 86:1). Bets are empirical-Bernstein ones that know the past alone.
    """
    x, alpha = _episode(differences), 1 - confidence
    means = np.linspace(0.0, 1.0, GRID + 1)
    bets = _bets(x, alpha / 2)
    low, high = np.empty(x.size), np.empty(x.size)
    up, down = np.zeros(means.size), np.zeros(means.size)
    limit = math.log(2 / alpha)
    alive = np.ones(means.size, dtype=bool)
    with np.errstate(divide="ignore"):
        most_up, most_down = _TRUNCATION / means, _TRUNCATION / (1 - means)
    for step, (value, bet) in enumerate(zip(x.tolist(), bets.tolist(), strict=True)):
        up += np.log1p(np.minimum(bet, most_up) * (value - means))
        down += np.log1p(-np.minimum(bet, most_down) * (value - means))
        alive &= np.maximum(up, down) <= limit
        # Neighbours of the last candidates alive bound what lies between the grid's points.
        first, last = (int(np.argmax(alive)), GRID - int(np.argmax(alive[::-1]))) if alive.any() else (0, GRID)
        low[step], high[step] = max(0, first - 1) / GRID, min(GRID, last + 1) / GRID
    return ConfidenceSequence(np.maximum.accumulate(2 * low - 1), np.minimum.accumulate(2 * high - 1))


def betting_p(differences: Floats, alpha: float) -> float:
    """Anytime-valid p-value that the mean of differences in [-1, 1] is 0 or less: 1 / the largest capital against it.

    It stays valid however often it is computed while scenes come in. ``alpha`` sets the size of the bets: the level at
    which a decision is wanted.
    """
    x = _episode(differences)
    capital = np.cumsum(np.log1p(np.minimum(_bets(x, alpha), 2 * _TRUNCATION) * (x - 0.5)))
    return float(min(1.0, math.exp(-float(capital.max(initial=0.0)))))


def _episode(differences: Floats) -> Floats:
    x = (np.asarray(differences, dtype=np.float64) + 1) / 2
    if x.ndim != 1 or not x.size or not np.all((x >= 0) & (x <= 1)):
        raise ValueError("need at least one difference, all within [-1, 1]")
    return x


def _bets(x: Floats, alpha: float) -> Floats:
    """Bet t from the first t - 1 values: ``sqrt(2 log(1/alpha) / (variance t log(1 + t)))``; float [values]."""
    t = np.arange(1, x.size + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    past = np.concatenate([[0.25], variance[:-1]])
    return np.asarray(np.sqrt(2 * math.log(1 / alpha) / (past * t * np.log1p(t))))


def in_random_order(clusters: Clusters, generator: np.random.Generator) -> Floats:
    """The scenes' mean differences in an order that does not depend on them; float [clusters].

    Scenes of one task come one after another otherwise, and the tasks' means differ.
    """
    return clusters.means[generator.permutation(len(clusters))]


def betting_power(
    effect: float, disagree: float, scenes: int, repeats: int, alpha: float, generator: np.random.Generator
) -> float:
    """Probability that ``betting_p`` falls to alpha by the last scene, by simulation.

    Each episode favours the treated arm with probability ``(disagree + effect) / 2`` and the control with
    ``(disagree - effect) / 2``; a scene's difference is the mean over its repeats.
    """
    shares = np.array([disagree + effect, disagree - effect, 2 - 2 * disagree]) / 2
    counts = generator.multinomial(repeats, shares, size=(STUDIES, scenes))
    gaps = (counts[..., 0] - counts[..., 1]) / repeats
    return float(np.mean([betting_p(row, alpha) <= alpha for row in gaps]))


STUDIES = 1_000
"""Simulated studies per power; their error is 1.3 points at a power of 0.8."""
