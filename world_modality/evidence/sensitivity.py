"""Would another reasonable analysis of the recipe say the same? Two that lean on more than seed means."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from statsmodels.regression.mixed_linear_model import MixedLM

from world_modality.evidence.effect import Effect, Levels, unknown
from world_modality.evidence.outcomes import CellRates, Floats
from world_modality.evidence.recipe import t_effect


@dataclass(frozen=True, slots=True)
class MixedModel:
    """A mixed model's effect, and whether its fit can be trusted."""

    effect: Effect
    converged: bool
    detail: str  # what the fitting said


def seed_task_blocks(treated: CellRates, control: CellRates, levels: Levels, episodes: int, clusters: int) -> Effect:
    """The t-test of differences per (seed, task), each block one independent piece.

    Narrower than Welch on seed means, but right only if a training run that is lucky on one task is not on the others.
    ValueError unless both arms hold the same complete seeds and tasks, with as many scenes each: blocks count the same.
    """
    gaps = _complete(treated, control).ravel()
    counts = (episodes, clusters, len(treated.seeds))
    error = float(gaps.std(ddof=1) / math.sqrt(gaps.size)) if gaps.size > 1 else 0.0
    if error <= 0:
        return unknown("recipe", "seed x task blocks", levels, float(gaps.mean()), counts, "the blocks do not vary")
    return t_effect("seed x task blocks", float(gaps.mean()), error, gaps.size - 1.0, levels, counts)


def mixed_model(treated: CellRates, control: CellRates, levels: Levels, episodes: int, clusters: int) -> MixedModel:
    """Rates per (arm, seed, task) with arm and task as fixed effects and the training run as a random one, by REML.

    For two arms that are trained apart: each seed of each arm is a run of its own. Two memories of the same checkpoints
    share their runs, and are no matter for this model.

    The arm is tested with t on ``2 (seeds - 1)`` degrees of freedom, those between runs, or on ``2 (seeds - 1) tasks``
    where the runs' variance is estimated as nothing and every cell is a piece of its own (statsmodels itself would take
    the normal distribution, which is too sure with few runs). ``converged`` is False where the fit failed
    or did not settle; the effect is then what was found, to be read with ``detail``.
    """
    _complete(treated, control)
    seeds, tasks = treated.rate.shape
    rate = np.concatenate([treated.rate.ravel(), control.rate.ravel()])
    arm = np.repeat([1.0, 0.0], seeds * tasks)
    task = np.tile(np.arange(tasks), 2 * seeds)
    design = np.column_stack([np.ones(rate.size), arm, *((task == each).astype(float) for each in range(1, tasks))])
    gap = float(treated.rate.mean() - control.rate.mean())
    counts = (episodes, clusters, seeds)
    name = "mixed model, runs random"
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        try:
            # Rates are scaled to episode variance: the optimiser's tolerances are absolute.
            scale = float(rate.std()) or 1.0
            model = MixedLM(rate / scale, design, groups=np.repeat(np.arange(2 * seeds), tasks))
            # Gradient methods stop on a singular matrix where the runs' variance is estimated at zero.
            fit = model.fit(reml=True, method=["powell"])
            error = float(fit.bse_fe[1]) * scale
            freedom = 2.0 * (seeds - 1) * (tasks if float(fit.cov_re[0, 0]) < 1e-6 else 1)
            failed = not fit.converged
        except (np.linalg.LinAlgError, ValueError) as problem:
            return MixedModel(unknown("recipe", name, levels, gap, counts, "the fit failed"), False, str(problem))
    detail = "; ".join(dict.fromkeys(str(each.message) for each in raised))
    if not math.isfinite(error) or error <= 0:
        return MixedModel(unknown("recipe", name, levels, gap, counts, "the fit gave no standard error"), False, detail)
    return MixedModel(t_effect(name, gap, error, freedom, levels, counts), not failed, detail)


def _complete(treated: CellRates, control: CellRates) -> Floats:
    """Differences per block, float [seeds, tasks]."""
    if (treated.seeds, treated.tasks) != (control.seeds, control.tasks) or treated.rate.size == 0:
        raise ValueError("both arms must hold the same seeds and tasks")
    gaps = treated.rate - control.rate
    if np.isnan(gaps).any():
        raise ValueError("every seed must hold every task")
    if np.unique(np.concatenate([treated.scenes, control.scenes])).size > 1:
        raise ValueError("every seed must hold as many scenes of every task")
    return np.asarray(gaps)
