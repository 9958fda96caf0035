"""Success rates and differences of two of them, each with its interval, where episodes need not be independent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import fisher_exact, norm, t

from world_modality.evidence.outcomes import Floats, Ints, Outcomes, scenes


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence limits, all as fractions (not percent): ``low <= estimate <= high``."""

    estimate: float
    low: float
    high: float


def normal_quantile(confidence: float) -> float:
    """The z with ``P(|Z| <= z) = confidence``; ValueError unless ``0 < confidence < 1``."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence}")
    return float(norm.ppf(0.5 + confidence / 2))


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of one success rate (Wilson 1927, JASA 22:209).

    Centre ``(x + z^2/2) / (n + z^2)``, half width ``z sqrt(x(n-x)/n + z^2/4) / (n + z^2)``.
    Trials count as independent. ValueError unless ``0 <= successes <= trials`` and ``trials > 0``.

    >>> rate = wilson(3, 4)
    >>> round(rate.low, 3), round(rate.high, 3)
    (0.301, 0.954)
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
    z = normal_quantile(confidence)
    centre = (successes + z * z / 2) / (trials + z * z)
    half = z * math.sqrt(successes * (trials - successes) / trials + z * z / 4) / (trials + z * z)
    rate = successes / trials
    # At 0 and n the limit is exactly 0 or 1; rounding must not push it past the estimate.
    return Interval(rate, min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)))


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
    task = _strata(task)
    robust = _robust_variance(task, *_by_scene(outcomes, index))
    independent = rate * (1 - rate) / n
    # Without a single failure, or success, nothing is known about the clustering: count each scene once.
    effect = n / task.size if independent == 0 else max(1.0, robust / independent)
    tail = 0.5 + confidence / 2
    shrink = effect * float(t.ppf(tail, task.size - np.unique(task).size) / norm.ppf(tail)) ** 2
    return _wilson(rate, n / shrink, normal_quantile(confidence))


def standard_error(outcomes: Outcomes) -> float | None:
    """The standard error of :func:`success_rate`: ``sqrt(p (1 - p) / n)`` where every scene was rolled out once.

    Where scenes repeat, the cluster-robust one, but never below that; None of a single scene, which tells nothing of
    how much scenes differ.
    """
    n = len(outcomes)
    if n == 0:
        raise ValueError("an arm without episodes has no success rate")
    task, _, index = scenes(outcomes)
    independent = outcomes.rate * (1 - outcomes.rate) / n
    if task.size == n:
        return math.sqrt(independent)
    if task.size == 1:
        return None
    return math.sqrt(max(independent, _robust_variance(_strata(task), *_by_scene(outcomes, index))))


def _strata(task: Ints) -> Ints:
    """Task of every scene [scenes], or one pool of all where a task has a single scene."""
    alone = int(np.unique(task, return_counts=True)[1].min()) < 2
    return np.zeros_like(task) if alone else task


def _by_scene(outcomes: Outcomes, index: Ints) -> tuple[Floats, Ints]:
    """Successes and episodes of every scene, [scenes] each; ``index`` is every episode's scene."""
    wins = np.asarray(np.bincount(index, weights=outcomes.success), dtype=np.float64)
    return wins, np.bincount(index).astype(np.int64)


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


def hybrid(one: Interval, two: Interval) -> Interval:
    """The hybrid score interval of ``one - two``, two rates measured on different episodes, from each one's interval.

    ``[d - sqrt((p1-l1)^2 + (u2-p2)^2), d + sqrt((u1-p1)^2 + (p2-l2)^2)]``. From Wilson's intervals it is Newcombe's
    number 10 (1998, Stat. Med. 17:873); any interval of a single rate will do, such as one that allows for repeated
    scenes (Zou and Donner 2008, Stat. Med. 27:1693). On the same episodes the paired intervals are narrower.
    """
    gap = one.estimate - two.estimate
    low = gap - math.hypot(one.estimate - one.low, two.high - two.estimate)
    high = gap + math.hypot(one.high - one.estimate, two.estimate - two.low)
    return Interval(gap, low, high)


def fisher_p(treated: tuple[int, int], control: tuple[int, int]) -> float:
    """Two-sided p-value of Fisher's exact test for two independent groups, each (successes, trials)."""
    table = [[x, n - x] for x, n in (treated, control)]
    return float(fisher_exact(table).pvalue)


def mixed_alike(one: Outcomes, two: Outcomes) -> bool:
    """Whether every task has the same share of the episodes in both arms, so that pooled rates may be compared."""
    shares = [(len(one.of_task(task)), len(two.of_task(task))) for task in {*one.tasks, *two.tasks}]
    return all(first * len(two) == second * len(one) for first, second in shares)


def stratified_difference(one: Outcomes, two: Outcomes, confidence: float = 0.95) -> Interval:
    """The mean over the common tasks of ``one - two``, each weighted by the smaller of its two numbers of episodes.

    Pooled rates would compare the arms' tasks rather than the arms (Simpson's paradox). The limits are recovered from
    those of each arm's rate on each task (Zou, Huang and Zhang 2009, Comput. Stat. Data Anal. 53:1080). ValueError
    without a common task.
    """
    smaller = {task: min(len(one.of_task(task)), len(two.of_task(task))) for task in one.tasks if task in two.tasks}
    if not smaller:
        raise ValueError("the arms share no task")
    weights = {task: episodes / sum(smaller.values()) for task, episodes in smaller.items()}
    return hybrid(_weighted(one, weights, confidence), _weighted(two, weights, confidence))


def _weighted(outcomes: Outcomes, weights: Mapping[int, float], confidence: float) -> Interval:
    """An arm's rate over tasks as ``weights`` mix them: ``r = sum w_i r_i``, its limits ``r -+ sqrt(sum (w_i e_i)^2)``
    with e_i the distance from a task's rate to its own limit."""
    rates = [(weight, success_rate(outcomes.of_task(task), confidence)) for task, weight in weights.items()]
    rate = sum(weight * each.estimate for weight, each in rates)
    below = math.hypot(*(weight * (each.estimate - each.low) for weight, each in rates))
    above = math.hypot(*(weight * (each.high - each.estimate) for weight, each in rates))
    return Interval(rate, rate - below, rate + above)
