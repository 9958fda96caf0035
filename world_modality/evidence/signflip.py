"""Is the difference between two arms larger than chance would make it? Signs flipped scene by scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from world_modality.evidence.outcomes import Floats, Ints

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
