"""How noisy is the study really? The plan's assumptions, estimated from outcomes at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from world_modality.evidence.outcomes import Outcomes, cell_rates
from world_modality.evidence.plan import Assumptions


@dataclass(frozen=True, slots=True)
class RunNoise:
    """How much training runs of one arm differ, beyond what their episodes' luck explains. Fractions."""

    seeds: int
    run_sd: float  # of the mean over scenes
    run_sd_high: float  # its upper limit, one-sided 80%: with few seeds the estimate is often too small
    task_sd: float  # of one task's rate, root mean square over tasks
    disagree: float  # share of episodes on which two runs differ


def run_noise(outcomes: Outcomes) -> RunNoise:
    """Estimate the run-to-run noise of one arm. ValueError unless it holds two seeds, on the same episodes each.

    The variance of seed means (and of the seeds' rates on a task) less that of the episodes' luck, which is an
    episode's
    variance over seeds divided by the number of episodes. The upper limit treats seed means as normal (Browne 1995,
    Stat.
    Med. 14:1933: plan with a limit rather than with a small pilot's estimate).
    """
    cells = cell_rates(outcomes)
    seeds = len(cells.seeds)
    if seeds < 2 or len(outcomes) % seeds:
        raise ValueError("the run-to-run noise needs two seeds on the same episodes")
    shape = (seeds, len(outcomes) // seeds)
    for column in (outcomes.task, outcomes.init_state, outcomes.repeat):
        if np.any(column.reshape(shape) != column[: shape[1]]):
            raise ValueError("the run-to-run noise needs the same episodes in every seed")
    luck = outcomes.success.reshape(shape).astype(np.float64).var(axis=0, ddof=1)
    between = float(cells.means.var(ddof=1))
    spare = float(luck.mean()) / shape[1]
    rank = np.searchsorted(cells.tasks, outcomes.task[: shape[1]])
    per_task = np.bincount(rank, weights=luck) / np.bincount(rank) ** 2
    tasks = float((cells.rate.var(axis=0, ddof=1) - per_task).mean())
    high = between * (seeds - 1) / float(chi2.ppf(0.2, seeds - 1))
    return RunNoise(
        seeds,
        max(0.0, between - spare) ** 0.5,
        max(0.0, high - spare) ** 0.5,
        max(0.0, tasks) ** 0.5,
        2 * float(luck.mean()),
    )


def assume(
    prior: Assumptions, baseline: Outcomes, memories: tuple[Outcomes, Outcomes] | None = None, cautious: bool = True
) -> Assumptions:
    """The prior with what the baseline's own seeds, and two memories of the same checkpoints, say instead.

    The run-to-run SD is the estimate's upper limit, one-sided 80%, or the estimate itself if not ``cautious``.
    ValueError as ``run_noise``.
    """
    noise = run_noise(baseline)
    found = replace(
        prior,
        rate=baseline.rate,
        run_sd=noise.run_sd_high if cautious else noise.run_sd,
        task_sd=noise.task_sd,
        disagree_runs=noise.disagree,
        source=f"estimated from {noise.seeds} seeds",
    )
    if memories is None:
        return found
    if not memories[0].same_episodes(memories[1]):
        raise ValueError("two memories are compared on the same episodes")
    return replace(found, disagree_memories=float((memories[0].success != memories[1].success).mean()))
