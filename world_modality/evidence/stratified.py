"""Two arms on different episodes whose tasks are not mixed alike: compared task by task, never pooled."""

from __future__ import annotations

import math
from collections.abc import Mapping

from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.proportions import Interval
from world_modality.evidence.rates import hybrid, success_rate


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
