"""Stopping early: what pairs of the same scenes say after every look, valid however often it is looked at.

Only about checkpoints, whose independent pieces are scenes. Across trainings they are the trainings, and no number of
scenes stands for one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp

from world_modality.evidence.effect import Effect
from world_modality.evidence.outcomes import Floats, Ints, Outcomes, clusters_of
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.power import detectable_effect
from world_modality.evidence.rates import Interval, normal_quantile

STAKES = (0.2, 0.6)
"""Shares of the capital that two gamblers stake on every scene, of the largest that cannot ruin them. The small one is
best where arms disagree on a quarter of the scenes and differ by 5 points, the large one where they differ by 15."""
_EDGE = 1e-9  # between -1 and the smallest mean that is tried


def log_capital(looks: Sequence[Floats], mean: float = 0.0) -> Floats:
    """The logarithm of what gamblers own after each look who began with 1 and bet that the mean is above ``mean``.

    ``looks`` are the differences, within [-1, 1], scene by scene: float [scenes] each. A scene multiplies a capital by
    ``1 + stake (difference - mean) / (1 + mean)``, which is never below ``1 - stake``; the gamblers of ``STAKES`` share
    what they own. Where every look holds as many scenes of each task, drawn anew from it, the expected factor of a look
    is a product over tasks of numbers whose mean is at most 1 while the mean over tasks is at most ``mean``, so it is
    at most 1, too (the geometric mean is the smaller). So the capital after looks is a supermartingale, whatever the
    tasks' own means, and exceeds 1 / alpha ever with probability at most alpha (Ville 1939; Ramdas et al. 2023, Stat.
    Sci. 38:576). It does not hang on the order of the scenes within a look. Shape [looks].
    """
    if not looks or any(each.size and (each.min() < -1 or each.max() > 1) for each in looks):
        raise ValueError("need at least one look, and differences within [-1, 1]")
    gains = [[np.log1p(stake * (each - mean) / (1 + mean)).sum() for each in looks] for stake in STAKES]
    return np.asarray(logsumexp(np.cumsum(gains, axis=1), axis=0) - math.log(len(STAKES)))


def anytime_p(looks: Sequence[Floats], mean: float = 0.0) -> float:
    """P-value of the hypothesis that the mean is ``mean`` or less, valid after whichever look one stops."""
    return min(1.0, math.exp(-float(log_capital(looks, mean).max())))


def lower_limit(looks: Sequence[Floats], level: float) -> float:
    """The mean lies below this at any look with probability at most ``level``: the largest that ``anytime_p`` rejects.

    The capital falls as the mean that it bets against grows, so the rejected ones lie below a root.
    """

    def excess(mean: float) -> float:
        return float(log_capital(looks, mean).max()) + math.log(level)

    if excess(-1 + _EDGE) < 0:
        return -1.0
    return float(brentq(excess, -1 + _EDGE, 1.0, xtol=1e-12))


def limits(looks: Sequence[Floats], level: float) -> Interval:
    """The estimate, and what holds it at every look at once, with error probability ``level`` at each end."""
    estimate = float(np.concatenate(list(looks)).mean())
    low, high = lower_limit(looks, level), -lower_limit([-each for each in looks], level)
    return Interval(estimate, min(estimate, low), max(estimate, high))


def look_numbers(plan: Plan, outcomes: Outcomes) -> Ints:
    """The look, from 0, in which each episode's scene is met; -1 for one that is not in the plan. Int [episodes]."""
    numbers = {
        (task, state): place // plan.stop_early
        for task, states in zip(plan.tasks, plan.order, strict=True)
        for place, state in enumerate(states)
    }
    scenes = zip(outcomes.task.tolist(), outcomes.init_state.tolist(), strict=True)
    return np.array([numbers.get(scene, -1) for scene in scenes], dtype=np.int64)


def complete_looks(plan: Plan, conditions: Mapping[str, Outcomes]) -> int:
    """How many first looks are whole in every condition that a claim names and that is there."""
    names = {name for claim in plan.claims for name in (claim.treated, claim.control)} & conditions.keys()
    sizes = np.array(plan.look_sizes) * plan.repeats * len(plan.seeds)
    whole = plan.number_of_looks if names else 0
    for name in names:
        numbers = look_numbers(plan, conditions[name])
        counts = np.bincount(numbers[numbers >= 0], minlength=sizes.size)
        lacking = np.flatnonzero(counts < sizes)
        whole = min(whole, int(lacking[0]) if lacking.size else sizes.size)
    return whole


def of_looks(plan: Plan, outcomes: Outcomes, looks: int) -> Outcomes:
    """The episodes of the first so many looks."""
    numbers = look_numbers(plan, outcomes)
    return outcomes.where((numbers >= 0) & (numbers < looks))


def looked_at(plan: Plan, conditions: Mapping[str, Outcomes]) -> dict[str, Outcomes]:
    """Every condition on the complete looks; of a plan that does not stop early, as it is."""
    if not plan.stop_early:
        return dict(conditions)
    looks = complete_looks(plan, conditions)
    return {name: of_looks(plan, outcomes, looks) for name, outcomes in conditions.items()}


def look_gaps(plan: Plan, treated: Outcomes, control: Outcomes) -> list[Floats]:
    """The scenes' mean differences, look by look: float [scenes] each. Both arms hold the same, whole looks.

    A scene's repeats and checkpoints are one piece: its mean difference.
    """
    clusters = clusters_of(treated, control)
    once = np.zeros(len(clusters), dtype=np.int64)
    scenes = Outcomes(once, clusters.task, clusters.init_state, once, once > 0)
    numbers = look_numbers(plan, scenes)
    return [clusters.means[numbers == look] for look in range(int(numbers.max()) + 1)]


def sequential_effect(plan: Plan, claim: Claim, treated: Outcomes, control: Outcomes) -> Effect:
    """``treated - control`` of these checkpoints after the looks that both hold, at the claim's share of alpha."""
    levels = replace(plan.levels, alpha=plan.levels.alpha * claim.share)
    looks, pairs = look_gaps(plan, treated, control), clusters_of(treated, control)
    interval = limits(looks, (1 - levels.confidence) / 2)
    gaps = np.concatenate(looks)
    error = float(gaps.std() / np.sqrt(max(1, gaps.size - 1)))
    if error <= 0:  # arms that never disagree may do so elsewhere, within the interval
        error = (interval.high - interval.low) / 2 / normal_quantile(levels.confidence)
    return Effect(
        "checkpoint",
        f"capital over scenes, {len(looks)} look{'s' * (len(looks) != 1)}",
        levels,
        interval,
        limits(looks, levels.alpha),
        anytime_p(looks),
        anytime_p([-each for each in looks]),
        pairs.pairs,
        len(pairs),
        len(treated.seeds),
        # At best what a fixed test at alpha would find with as many scenes.
        detectable_effect(error, math.inf, levels.alpha, levels.power),
    )


def is_futile(plan: Plan, effect: Effect) -> bool:
    """Whether a gain as large as the study was to find is ruled out, at the test's own alpha."""
    return not effect.problem and effect.bounds.high < plan.effect


@dataclass(frozen=True, slots=True, eq=False)
class Stops:
    """Simulated studies: when each was decided, and how."""

    scenes: Ints  # [studies], met until then, or all of them where nothing was decided
    helps: float  # share of the studies in which the treated arm was found better
    hurts: float
    futile: float  # in which a gain of the wanted size was ruled out instead

    @property
    def median(self) -> float:
        """Scenes that half of the studies needed at most."""
        return float(np.median(self.scenes))


def simulate_stops(
    effect: float,
    disagree: float,
    plan: Plan,
    alpha: float,
    generator: np.random.Generator,
    studies: int = 500,
) -> Stops:
    """When a plan's looks would decide one claim, were the true difference ``effect``.

    Each episode favours the treated arm with probability ``(disagree + effect) / 2`` and the control with
    ``(disagree - effect) / 2``; a scene's difference is the mean over its repeats and checkpoints.
    """
    shares = np.array([disagree + effect, disagree - effect, 2 - 2 * disagree]) / 2
    sizes, pairs = plan.look_sizes, plan.repeats * len(plan.seeds)
    counts = generator.multinomial(pairs, shares, size=(studies, sum(sizes)))
    gaps = (counts[..., 0] - counts[..., 1]) / pairs
    return stops_of(np.split(gaps, np.cumsum(sizes)[:-1], axis=1), plan.effect, alpha)


def stops_of(looks: Sequence[Floats], wanted: float, alpha: float) -> Stops:
    """When each of some studies would be decided; ``looks`` are float [studies, scenes] each."""
    firsts = [
        _first(looks, alpha, 0.0),
        _first([-each for each in looks], alpha, 0.0),
        _first([-each for each in looks], alpha, -wanted),
    ]
    first = np.min(firsts, axis=0)
    never = len(looks)
    ends = np.cumsum([each.shape[1] for each in looks])
    helps = (firsts[0] == first) & (first < never)
    hurts = (firsts[1] == first) & (first < never) & ~helps
    futile = (first < never) & ~helps & ~hurts
    scenes = ends[np.minimum(first, never - 1)]
    return Stops(scenes, float(helps.mean()), float(hurts.mean()), float(futile.mean()))


def _first(looks: Sequence[Floats], alpha: float, mean: float) -> Ints:
    """The first look, from 0, after which each study's capital is 1 / alpha or more; as many as there are for never."""
    gains = [[np.log1p(stake * (each - mean) / (1 + mean)).sum(axis=1) for each in looks] for stake in STAKES]
    rich = logsumexp(np.cumsum(gains, axis=1), axis=0) - math.log(len(STAKES)) >= -math.log(alpha)
    return np.where(rich.any(axis=0), rich.argmax(axis=0), len(looks))
