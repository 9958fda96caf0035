"""Several questions to the same data, with one error probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from statsmodels.stats.meta_analysis import combine_effects

from world_modality.evidence.outcomes import Floats

Step = Literal["confirmed", "not confirmed", "not tested"]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values (Holm 1979, Scand. J. Stat. 6:65), in the order given; none for none.

    The i-th smallest of m is multiplied by ``m - i + 1``, and is at least those before it and at most 1. statsmodels
    has this too, but collects garbage at every call, which takes half a second in a process that has loaded torch.
    """
    ascending = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[ascending] = np.minimum(1.0, np.maximum.accumulate(factors * np.asarray(p_values)[ascending]))
    return tuple(adjusted.tolist())


def fixed_sequence(rejected: Sequence[bool]) -> tuple[Step, ...]:
    """Gatekeeping: claims in their declared order, each tested at the full alpha, until one fails.

    ``rejected`` says of each claim whether its own test at alpha rejects. The error rate over all claims stays alpha,
    because a later claim is tested only where every earlier one was confirmed (Maurer, Hothorn and Lehmacher 1995).
    """
    steps: list[Step] = []
    for found in rejected:
        reached = all(step == "confirmed" for step in steps)
        steps.append(("confirmed" if found else "not confirmed") if reached else "not tested")
    return tuple(steps)


def shrink(estimates: Floats, errors: Floats) -> Floats:
    """Empirical-Bayes estimates of several tasks' effects; float [tasks].

    Each estimate d with standard error s moves towards the common mean m by ``s^2 / (s^2 + tau^2)``, where tau^2 is the
    effects' variance between tasks as estimated by Paule and Mandel (1982): the largest and the smallest of ten noisy
    estimates are mostly luck. With one task there is nothing to borrow from. ValueError unless all errors are positive.
    """
    if estimates.shape != errors.shape or np.any(errors <= 0):
        raise ValueError("need one positive standard error per estimate")
    if estimates.size < 2:
        return estimates.copy()
    with np.errstate(divide="ignore"):  # of estimates that are all equal, whose heterogeneity statsmodels divides by
        fit = combine_effects(estimates, errors**2, method_re="iterated")
    variance = max(0.0, float(fit.tau2))
    weights = 1 / (errors**2 + variance)
    mean = float((weights * estimates).sum() / weights.sum())
    return np.asarray(mean + variance * weights * (estimates - mean))
