"""Figures that are no rates: a ratio of sums over episodes, and the difference of two on the same episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from world_modality.evidence.effect import Effect, Levels, unknown
from world_modality.evidence.outcomes import Floats
from world_modality.evidence.power import detectable_effect
from world_modality.evidence.rates import Interval
from world_modality.evidence.recipe import welch
from world_modality.evidence.resampling import RESAMPLES

ENOUGH_EPISODES = 30
"""Below, an episode comes up so often in a resample that the bootstrap's intervals are too wild: Student's t then."""
FEWEST = 0.5
"""Degrees of freedom at least, so that limits are numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """``sum(above) / sum(below)`` with the distribution that it would have on other episodes."""

    estimate: float
    error: float  # its standard error, by the residuals ``above - estimate * below``
    episodes: int
    freedom: float  # degrees of freedom of the error; infinite where ``roots`` say how it varies
    roots: Floats | None  # [resamples], ascending: (resampled - estimate) / resampled error; None: Student's t

    def interval(self, confidence: float) -> Interval:
        """The two-sided interval; its limits are one-sided bounds at ``(1 + confidence) / 2`` each."""
        tail = (1 - confidence) / 2
        if self.roots is None:
            high = float(t.isf(tail, self.freedom))
            low = -high
        else:
            low, high = map(float, np.quantile(self.roots, [tail, 1 - tail]))
        return Interval(
            self.estimate,
            min(self.estimate, self.estimate - high * self.error),
            max(self.estimate, self.estimate - low * self.error),
        )

    @property
    def p_greater(self) -> float:
        """Of the test whose null hypothesis is that the ratio is at most 0."""
        if not self.error:
            return 0.5**self.episodes if self.estimate > 0 else 1.0
        root = self.estimate / self.error
        if self.roots is None:
            return float(t.sf(root, self.freedom))
        return (1 + int((self.roots >= root).sum())) / (1 + self.roots.size)

    @property
    def p_less(self) -> float:
        """Of the one whose null hypothesis is that it is at least 0."""
        if not self.error:
            return 0.5**self.episodes if self.estimate < 0 else 1.0
        root = self.estimate / self.error
        if self.roots is None:
            return float(t.cdf(root, self.freedom))
        return (1 + int((self.roots <= root).sum())) / (1 + self.roots.size)


def ratio_of(above: Floats, below: Floats, generator: np.random.Generator) -> Ratio:
    """The ratio of two sums over episodes [E], with the episode as the unit that would be drawn anew.

    Bootstrap-t (Efron and Tibshirani 1993, ch. 12.5) of the ratio, whose standard error is that of the mean residual
    (Cochran 1977, ch. 6). Below ``ENOUGH_EPISODES`` the jackknife's error and Student's t, on one degree of freedom
    less than there would be equally long episodes (Kish's effective number). ValueError unless
    there are two episodes that something was counted in.
    """
    counted = below > 0
    above, below = above[counted].astype(np.float64), below[counted].astype(np.float64)
    n = int(above.size)
    if n < 2:
        raise ValueError(f"{n} episodes with anything to measure; an interval needs at least two")
    estimate = float(above.sum() / below.sum())
    residual = above - estimate * below
    error = math.sqrt(float((residual**2).sum()) * n / (n - 1)) / float(below.sum())
    if error <= 1e-12 * abs(estimate):
        return Ratio(estimate, 0.0, n, math.inf, None)
    if n < ENOUGH_EPISODES:
        left = residual / (1 - below / below.sum())  # as without that episode, else long ones pull the ratio to them
        jackknifed = math.sqrt(float((left**2).sum()) * (n - 1) / n) / float(below.sum())
        return Ratio(estimate, jackknifed, n, max(FEWEST, float(below.sum() ** 2 / (below**2).sum()) - 1), None)
    drawn = generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    sums = drawn @ below
    ratios = drawn @ above / sums
    squares = drawn @ above**2 - 2 * ratios * (drawn @ (above * below)) + ratios**2 * (drawn @ below**2)
    errors = np.sqrt(np.maximum(squares, 0.0) * n / (n - 1)) / sums
    roots = np.divide(ratios - estimate, errors, out=np.zeros_like(ratios), where=errors > 0)
    return Ratio(estimate, error, n, math.inf, np.sort(roots))


def gain_on_episodes(
    treated: Floats, control: Floats, levels: Levels, frames: int, generator: np.random.Generator
) -> Effect:
    """By which share the treated arm's summed error is smaller than the control's, for these checkpoints.

    ``1 - sum(treated) / sum(control)``, the sums [seeds, E] being over the same frames of the same episodes.
    ``frames`` are those of one checkpoint.
    """
    return _on_episodes(control - treated, control, levels, frames, generator)


def rise_on_episodes(
    treated: Floats, control: Floats, counted: Floats, levels: Levels, frames: int, generator: np.random.Generator
) -> Effect:
    """``treated - control`` of two shares, hits [seeds, E] of as many ``counted`` in either arm."""
    return _on_episodes(treated - control, counted, levels, frames, generator)


def _on_episodes(gap: Floats, below: Floats, levels: Levels, frames: int, generator: np.random.Generator) -> Effect:
    """``sum(gap) / sum(below)``: an episode is met by all checkpoints, so they count as one."""
    counts = (frames, int(below.shape[1]), int(below.shape[0]))
    above, below = gap.sum(axis=0), below.sum(axis=0)
    total = float(below.sum())
    estimate = float(above.sum()) / total if total else 0.0
    if int((below > 0).sum()) < 2:
        return unknown("checkpoint", "none", levels, estimate, counts, "only one episode")
    ratio = ratio_of(above, below, generator)
    method = "Student's t over episodes" if ratio.roots is None else "bootstrap-t over episodes"
    return Effect(
        "checkpoint",
        method,
        levels,
        ratio.interval(levels.confidence),
        ratio.interval(1 - 2 * levels.alpha),
        ratio.p_greater,
        ratio.p_less,
        *counts,
        detectable_effect(ratio.error, ratio.freedom, levels.alpha, levels.power),
    )


def gain_across_seeds(treated: Floats, control: Floats, levels: Levels, frames: int) -> Effect:
    """The same for training anew: Welch's test of the seeds' errors, in units of the control's mean error.

    Seeds are independent trainings in either arm, whatever they are called; the sums [seeds, E] are over the same
    frames.
    """
    one, two = treated.sum(axis=1), control.sum(axis=1)
    scale = float(two.mean()) or 1.0
    return welch(-one / scale, -two / scale, levels, frames, int(control.shape[1]), widest=math.inf)


def rise_across_seeds(treated: Floats, control: Floats, counted: Floats, levels: Levels, frames: int) -> Effect:
    """The difference of two shares for training anew: Welch's test of the seeds' shares."""
    one, two = (hits.sum(axis=1) / counted.sum(axis=1) for hits in (treated, control))
    return welch(one, two, levels, frames, int(control.shape[1]))
