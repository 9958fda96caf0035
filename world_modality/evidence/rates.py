"""Success rates of arms whose episodes are not all independent, and two rates measured on different episodes."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import fisher_exact, norm, t

from world_modality.evidence.outcomes import Floats, Ints, Outcomes, scenes
from world_modality.evidence.proportions import Interval, normal_quantile, wilson


def success_rate(outcomes: Outcomes, confidence: float = 0.95) -> Interval:
    """The success rate of these checkpoints on scenes like these; how much training anew would change is not in it.

    Wilson's interval where every scene was rolled out once. Where scenes repeat, Wilson's formula at the effective
    sample size ``n / deff * (z / t)^2``, with the cluster-robust design effect of the scenes (Korn and Graubard 1998,
    Survey Methodology 24:193; Franco et al. 2019, J. Surv. Stat. Methodol. 7:334): stratified by task, with t on scenes
    less tasks degrees of freedom, where every task has two scenes. A single scene of a task tells nothing of how much
    its scenes differ, so all scenes are then drawn from one pool.
    """
    n, x = len(outcomes), int(outcomes.success.sum())
    if n == 0:
        raise ValueError("an arm without episodes has no success rate")
    task, _, index = scenes(outcomes)
    rate = x / n
    if task.size == n:
        return wilson(x, n, confidence)
    if task.size == 1:
        return _wilson(rate, 1.0, normal_quantile(confidence))  # one scene, however often it was repeated
    if int(np.unique(task, return_counts=True)[1].min()) < 2:
        task = np.zeros_like(task)
    wins = np.asarray(np.bincount(index, weights=outcomes.success), dtype=np.float64)
    robust = _robust_variance(task, wins, np.bincount(index).astype(np.int64))
    independent = rate * (1 - rate) / n
    # Without a single failure, or success, nothing is known about the clustering: count each scene once.
    effect = n / task.size if independent == 0 else max(1.0, robust / independent)
    tail = 0.5 + confidence / 2
    shrink = effect * float(t.ppf(tail, task.size - np.unique(task).size) / norm.ppf(tail)) ** 2
    return _wilson(rate, n / shrink, normal_quantile(confidence))


def _robust_variance(task: Ints, wins: Floats, episodes: Ints) -> float:
    """Variance of the overall rate when scenes are drawn within their tasks, two at least; all columns [scenes]."""
    total = 0.0
    for each in np.unique(task):
        own = task == each
        scenes = int(own.sum())
        residual = wins[own] - episodes[own] * wins[own].sum() / episodes[own].sum()
        total += scenes / (scenes - 1) * float((residual**2).sum())
    return total / float(episodes.sum()) ** 2


def _wilson(rate: float, n: float, z: float) -> Interval:
    """Wilson's interval for a fractional number of trials."""
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(rate, min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)))


def newcombe(treated: tuple[int, int], control: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Newcombe's hybrid score interval of ``treated - control`` for independent groups (1998, Stat. Med. 17:873).

    It is number 10 there. Each group is (successes, trials). For two arms rolled out on different episodes; on the same
    episodes the paired intervals are narrower. From the groups' Wilson limits l, u:
    ``[d - sqrt((p1-l1)^2 + (u2-p2)^2), d + sqrt((u1-p1)^2 + (p2-l2)^2)]``.
    """
    return hybrid(wilson(*treated, confidence), wilson(*control, confidence))


def hybrid(one: Interval, two: Interval) -> Interval:
    """``newcombe`` from the limits of each group's own interval, which may allow for repeated scenes.

    Any interval of a single rate will do (Zou and Donner 2008, Stat. Med. 27:1693).
    """
    gap = one.estimate - two.estimate
    low = gap - math.hypot(one.estimate - one.low, two.high - two.estimate)
    high = gap + math.hypot(one.high - one.estimate, two.estimate - two.low)
    return Interval(gap, low, high)


def fisher_p(treated: tuple[int, int], control: tuple[int, int]) -> float:
    """Two-sided p-value of Fisher's exact test for two independent groups, each (successes, trials)."""
    table = [[x, n - x] for x, n in (treated, control)]
    return float(fisher_exact(table).pvalue)
