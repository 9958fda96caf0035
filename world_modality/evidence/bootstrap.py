"""Intervals of a mean paired difference, by resampling scenes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from world_modality.evidence.outcomes import Clusters, Floats
from world_modality.evidence.proportions import Interval

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
