"""Random draws that are the same in any order of work, and what is made of them: bootstrap and sign flips."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from world_modality.evidence.outcomes import Clusters, Floats, Ints
from world_modality.evidence.rates import Interval

DIGEST_LENGTH = 16


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, no NaN; tuples count as lists."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """First 16 hex digits of sha256 over the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_LENGTH]


def keyed_generator(*parts: int | str) -> np.random.Generator:
    """A generator that depends on ``parts`` and their order alone, the same on every machine and run.

    >>> int(keyed_generator("bootstrap", 3).integers(1000)) == int(keyed_generator("bootstrap", 3).integers(1000))
    True
    """
    return np.random.default_rng(int.from_bytes(hashlib.sha256(canonical_json(parts).encode()).digest(), "big"))


RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Bootstrap:
    """The bootstrap distribution of a studentised mean difference."""

    estimate: float  # mean over scenes
    error: float  # its standard error
    roots: Floats  # [resamples], ascending: (resampled estimate - estimate) / resampled standard error

    def interval(self, confidence: float) -> Interval:
        """The two-sided interval; its limits are one-sided bounds at ``(1 + confidence) / 2`` each."""
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.roots, [tail, 1 - tail])
        return Interval(
            self.estimate,
            max(-1.0, min(self.estimate, self.estimate - float(high) * self.error)),
            min(1.0, max(self.estimate, self.estimate - float(low) * self.error)),
        )


def cluster_bootstrap(clusters: Clusters, generator: np.random.Generator, resamples: int = RESAMPLES) -> Bootstrap:
    """Bootstrap-t of the mean paired difference (Efron and Tibshirani 1993, ch. 12.5), scenes resampled within tasks.

    The tasks are the suite's and stay, each with its share of the scenes. Resampling n scenes is drawing how often each
    distinct value comes up, which is multinomial. ValueError when a task has one scene only, or all scenes of all
    tasks agree: there is nothing to resample then.
    """
    tasks = np.unique(clusters.task)
    mean, variance = np.zeros(resamples), np.zeros(resamples)
    estimate = spread = 0.0
    for task in tasks:
        values, counts = np.unique(clusters.means[clusters.task == task], return_counts=True)
        n = int(counts.sum())
        if n < 2:
            raise ValueError(f"task {task} has one scene; resampling needs at least two")
        drawn = generator.multinomial(n, counts / n, size=resamples)
        first, second = drawn @ values / n, drawn @ values**2 / n
        share = n / len(clusters)
        mean += first * share
        variance += np.maximum(second - first**2, 0.0) / (n - 1) * share**2
        centre = float(counts @ values) / n
        estimate += centre * share
        spread += (float(counts @ values**2) / n - centre**2) / (n - 1) * share**2
    if spread <= 0:
        raise ValueError("all scenes agree; there is nothing to resample")
    gap = mean - estimate
    # A resample in which all scenes agree has no standard error; it lies as far out as any can.
    roots = np.divide(gap, np.sqrt(variance), out=np.zeros(resamples), where=variance > 0)
    roots = np.where(variance > 0, roots, np.sign(gap) * np.abs(roots).max())
    return Bootstrap(estimate, float(np.sqrt(spread)), np.sort(roots))


LATTICE = 2**20
"""Most points of the exact null distribution; beyond, signs are drawn."""
DRAWS = 9_999
_BATCH = 500  # draws held in memory at once


@dataclass(frozen=True, slots=True)
class SignFlip:
    """P-values of the sign-flip test, one for each direction."""

    p_greater: float
    p_less: float
    exact: bool  # whether the null distribution was enumerated rather than drawn


def sign_flip(total: Ints, episodes: Ints, generator: np.random.Generator, draws: int = DRAWS) -> SignFlip:
    """The cluster sign-flip permutation test of mean difference 0.

    Under the null hypothesis that treatment and control are exchangeable within every scene, each scene's mean
    difference is as likely to have the other sign. The statistic is the sum of the scenes' means; its null distribution
    over all ``2^clusters`` signs is exact: scaled to whole numbers v, the sum of those flipped is
    ``sum |v_c| b_c`` with fair coins b, whose characteristic function is a product (Pagano and Tritchler 1983, JASA
    78:435). Where the whole numbers grow too large (scenes repeated unequally often), ``draws`` sign vectors are
    drawn instead, and ``p = (1 + exceeding) / (1 + draws)`` (Phipson and Smyth 2010, SAGMB 9:39).

    Args:
        total: sum of the differences per scene, int [clusters].
        episodes: pairs per scene, int [clusters].
        generator: used only when signs are drawn.
        draws: how many then.
    """
    if total.size == 0 or total.shape != episodes.shape or np.any(episodes <= 0):
        raise ValueError("need a total and a positive number of pairs for every cluster")
    moving = total != 0
    total, episodes = total[moving], episodes[moving]
    scale = math.lcm(*np.unique(episodes).tolist()) if total.size else 1
    values = [int(t) * (scale // int(u)) for t, u in zip(total, episodes, strict=True)]
    shrink = math.gcd(*values) or 1
    values = [value // shrink for value in values]
    if sum(map(abs, values)) < LATTICE:
        return _exact(np.array(values, dtype=np.int64))
    return _drawn(total / episodes, generator, draws)


def _exact(values: Ints) -> SignFlip:
    sizes, counts = np.unique(np.abs(values), return_counts=True)
    length = int(np.abs(values).sum()) + 1
    frequency = np.arange(length // 2 + 1) * (2 * np.pi / length)
    transform = np.ones(frequency.size, dtype=np.complex128)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        transform *= ((1 + np.exp(-1j * frequency * size)) / 2) ** count
    mass = np.clip(np.fft.irfft(transform, length), 0.0, None)
    observed = int(values[values > 0].sum())
    # Rounding leaves about 1e-16 per point; no p-value is smaller than that of the single most extreme sign vector.
    floor = 0.5 ** min(values.size, 1000)
    greater, less = float(mass[observed:].sum()), float(mass[: observed + 1].sum())
    return SignFlip(min(1.0, max(greater, floor)), min(1.0, max(less, floor)), exact=True)


def _drawn(means: Floats, generator: np.random.Generator, draws: int) -> SignFlip:
    observed = float(means.sum())
    near = 1e-9 * float(np.abs(means).sum())  # sums of the same means in another order count as equal
    above = below = 0
    for start in range(0, draws, _BATCH):
        rows = min(_BATCH, draws - start)
        sums = (2.0 * generator.integers(0, 2, (rows, means.size)) - 1.0) @ means
        above += int((sums >= observed - near).sum())
        below += int((sums <= observed + near).sum())
    return SignFlip((1 + above) / (1 + draws), (1 + below) / (1 + draws), exact=False)
