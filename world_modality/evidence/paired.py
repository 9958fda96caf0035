"""Differences of two arms measured on the same episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.stats import norm, t

from world_modality.evidence.outcomes import Clusters, Floats
from world_modality.evidence.rates import Interval, normal_quantile


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """``treated - control`` over paired episodes: the interval and the counts it rests on."""

    interval: Interval
    pairs: int
    clusters: int  # distinct scenes; fewer than pairs when a scene is repeated or several seeds share it
    only_treated: int  # episodes that succeeded in the treated arm alone
    only_control: int  # episodes that succeeded in the control arm alone


def tango(only_treated: float, only_control: float, pairs: float, confidence: float = 0.95) -> Interval:
    """Tango's score interval of a paired difference of proportions (Tango 1998, Stat. Med. 17:891).

    The limits are the d where the score statistic ``(b - c - n d) / sqrt(n (2 q + d (1 - d)))`` equals +-z, with
    q the maximum-likelihood P(control alone) given d. Unlike Wald's interval it keeps a width when no pair
    is discordant: ``+-z^2 / (n + z^2)``. Counts may be fractional (effective sample sizes).
    """
    b, c, n = float(only_treated), float(only_control), float(pairs)
    if n <= 0 or b < 0 or c < 0 or b + c > n * (1 + 1e-9):
        raise ValueError(f"need non-negative discordant counts within {n} pairs, got {b} and {c}")
    z = normal_quantile(confidence)
    estimate = (b - c) / n

    def excess(difference: float, sign: float) -> float:
        return _score(b, c, n, difference) - sign * z

    # The score falls from +inf to -inf over (-1, 1) and is 0 at the estimate, so each root is bracketed.
    edge = 1.0 - 1e-12
    low = -1.0 if estimate <= -edge else brentq(excess, -edge, estimate, args=(1.0,), xtol=1e-12)
    high = 1.0 if estimate >= edge else brentq(excess, estimate, edge, args=(-1.0,), xtol=1e-12)
    return Interval(estimate, float(low), float(high))


def _score(b: float, c: float, n: float, difference: float) -> float:
    """Tango's statistic at one hypothesised difference."""
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    nuisance = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * nuisance + difference * (1 - difference))
    gap = b - c - n * difference
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)


def difference_of_clusters(clusters: Clusters, confidence: float = 0.95) -> PairedDifference:
    """The paired difference of success rates, each scene counting the same, with an interval that respects repeats.

    With one episode per scene this is Tango's interval. Where scenes repeat (several noise repeats or training seeds),
    outcomes of a scene hang together, so the interval is computed from the scenes' mean shares at the effective sample
    size ``n / deff * (z / t)^2`` with the cluster-robust design effect (Korn and Graubard 1998, Survey Methodology
    24:193).
    """
    b, c, n = int(clusters.only_treated.sum()), int(clusters.only_control.sum()), clusters.pairs
    if len(clusters) == n:
        return PairedDifference(tango(b, c, n, confidence), n, n, b, c)
    one, two = (float((each / clusters.episodes).mean()) for each in (clusters.only_treated, clusters.only_control))
    effective = _effective_pairs(one + two, n, clusters.means, confidence)
    return PairedDifference(tango(one * effective, two * effective, effective, confidence), n, len(clusters), b, c)


def _effective_pairs(discordant: float, n: int, means: Floats, confidence: float) -> float:
    """Independent pairs that carry as much information as these n clustered ones; between 0 and n.

    Args:
        discordant: share of pairs with a single success, the mean over scenes.
        n: pairs.
        means: mean difference per scene, float [scenes].
        confidence: of the interval.
    """
    clusters = means.size
    if clusters == 1:
        return 1.0
    independent = (discordant - float(means.mean()) ** 2) / n
    robust = float(means.var(ddof=1)) / clusters
    # No spread at all tells nothing about the clustering: count each scene once.
    effect = n / clusters if independent <= 1e-15 else max(1.0, robust / independent)
    tail = 0.5 + confidence / 2
    return float(n / effect * (norm.ppf(tail) / t.ppf(tail, clusters - 1)) ** 2)
