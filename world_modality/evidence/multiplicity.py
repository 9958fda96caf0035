"""Several questions to the same data, with one error probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

from world_modality.evidence.outcomes import Floats

Step = Literal["confirmed", "not confirmed", "not tested"]


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given; none for none."""
    return tuple(multipletests(p_values, method="holm")[1].tolist()) if len(p_values) else ()


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
    fit = combine_effects(estimates, errors**2, method_re="iterated")
    variance = max(0.0, float(fit.tau2))
    weights = 1 / (errors**2 + variance)
    mean = float((weights * estimates).sum() / weights.sum())
    return np.asarray(mean + variance * weights * (estimates - mean))
