"""What a plan can expect to find: power, smallest detectable effects, and the cheapest study for a wanted effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy.optimize import brentq

from world_modality.evidence.betting import betting_power
from world_modality.evidence.plan import Claim, Plan
from world_modality.evidence.power import detectable_effect, detectable_margin, equivalence_power, power_of
from world_modality.evidence.recipe import FEWEST_SEEDS
from world_modality.evidence.resampling import keyed_generator
from world_modality.evidence.sequential import simulate_stops
from world_modality.evidence.spending import plan_looks


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the plan expects of one claim."""

    claim: str
    effect: float  # supposed true difference; 0 for a claim of equality
    power: float  # probability that the claim is confirmed then, were it tested alone
    detectable: float  # smallest effect, or margin of equality, with the plan's power; NaN: none, however large


def expect(plan: Plan) -> tuple[Expectation, ...]:
    """Power at the plan's wanted effect and the smallest detectable effect, claim by claim."""
    return tuple(_expectation(plan, claim) for claim in plan.claims)


def _expectation(plan: Plan, claim: Claim) -> Expectation:
    effect = 0.0 if claim.kind == "equal" else plan.effect
    return Expectation(claim.name, effect, _power(plan, claim), _detectable(plan, claim))


def _power(plan: Plan, claim: Claim) -> float:
    """Probability that the claim is confirmed at the plan's wanted effect; for a claim of equality at none."""
    if claim.scope == "recipe":
        if len(plan.seeds) < FEWEST_SEEDS:
            return 0.0
        error, freedom, alpha = _recipe_error(plan, claim), _freedom(plan, claim), last_level(plan, claim.share)
        if claim.kind == "equal":
            return equivalence_power(claim.margin, error, freedom, alpha)
        return power_of(plan.effect, error, freedom, alpha)
    if claim.kind == "equal":
        return equivalence_power(claim.margin, _scenes_error(plan, claim), math.inf, plan.levels.alpha)
    return _scenes_power(plan, claim, plan.effect)


def _detectable(plan: Plan, claim: Claim) -> float:
    """The smallest effect, or margin of equality, with the plan's power; NaN where there is none."""
    power = plan.levels.power
    if claim.scope == "recipe":
        if len(plan.seeds) < FEWEST_SEEDS:
            return math.nan
        find = detectable_margin if claim.kind == "equal" else detectable_effect
        return find(_recipe_error(plan, claim), _freedom(plan, claim), last_level(plan, claim.share), power)
    if claim.kind == "equal":
        return detectable_margin(_scenes_error(plan, claim), math.inf, plan.levels.alpha, power)
    return _scenes_detectable(plan, claim)


def last_level(plan: Plan, share: float = 1.0) -> float:
    """The one-sided level at the last look of a recipe's test that has this share of alpha."""
    looks = [size / len(plan.seeds) for size in plan.sizes]
    return plan_looks(looks, plan.levels.alpha * share, plan.spending).level[-1]


def _recipe_error(plan: Plan, claim: Claim) -> float:
    """Standard error of a difference of seed means.

    A seed mean varies by the training run and by the episodes' luck that no other run shares, which is half the
    disagreement of two runs. Two memories of the same checkpoints share the run.
    """
    noise, seeds = plan.assumptions, len(plan.seeds)
    if claim.same_checkpoints:
        return math.sqrt(noise.disagree_memories / plan.episodes_per_seed / seeds)
    return math.sqrt(2 * (noise.run_sd**2 + noise.disagree_runs / 2 / plan.episodes_per_seed) / seeds)


def _freedom(plan: Plan, claim: Claim) -> float:
    return (len(plan.seeds) - 1.0) * (1 if claim.same_checkpoints else 2)


def _disagreement(plan: Plan, claim: Claim) -> float:
    """Share of episodes that end otherwise: with another memory of one checkpoint, or with another checkpoint."""
    noise = plan.assumptions
    return noise.disagree_memories if claim.same_checkpoints else noise.disagree_runs


def _scenes_error(plan: Plan, claim: Claim) -> float:
    return math.sqrt(_disagreement(plan, claim) / (plan.episodes_per_seed * len(plan.seeds)))


def _scenes_power(plan: Plan, claim: Claim, effect: float) -> float:
    """Power of a contrast in the checkpoints that were rolled out, decided over scenes.

    Conditions that differ by the effect disagree on at least as large a share of the episodes.
    """
    episodes = plan.episodes_per_seed * len(plan.seeds)
    disagree = max(_disagreement(plan, claim), abs(effect))
    alpha = plan.levels.alpha * claim.share
    if plan.stop_early:
        return simulate_stops(effect, disagree, plan, alpha, keyed_generator("stops", plan.study)).helps
    if plan.looks and claim.same_checkpoints:
        scenes = len(plan.seeds) * len(plan.tasks) * len(plan.init_states)
        generator = keyed_generator("betting power", plan.study)
        return betting_power(effect, disagree, scenes, plan.repeats, alpha, generator)
    # The test's statistic moves in steps of two episodes; the exact tail starts half a step early.
    error = math.sqrt((disagree - effect**2) / episodes)
    level = alpha if claim.same_checkpoints else last_level(plan, claim.share)
    return power_of(effect - 1 / episodes, error, math.inf, level)


def _scenes_detectable(plan: Plan, claim: Claim) -> float:
    """Disagreement bounds the difference: two that differ on a tenth of the episodes cannot differ by more."""
    most, wanted = _disagreement(plan, claim) * (1 - 1e-9), plan.levels.power
    if _scenes_power(plan, claim, most) < wanted:
        return math.nan
    return float(brentq(lambda effect: _scenes_power(plan, claim, effect) - wanted, 0.0, most, xtol=1e-5))


def detectable_on_a_task(plan: Plan) -> float:
    """The recipe's smallest detectable difference on one task: two-sided, and the strictest step of Holm over tasks."""
    if len(plan.seeds) < FEWEST_SEEDS:
        return math.nan
    noise, seeds, episodes = plan.assumptions, len(plan.seeds), len(plan.init_states) * plan.repeats
    error = math.sqrt(2 * (noise.task_sd**2 + noise.disagree_runs / 2 / episodes) / seeds)
    alpha = plan.levels.alpha / 2 / len(plan.tasks)
    return detectable_effect(error, 2.0 * (seeds - 1), alpha, plan.levels.power)


@dataclass(frozen=True, slots=True)
class ExpectedStop:
    """When a plan that stops early is decided about its first claim, were it tested alone."""

    effect: float  # true difference
    scenes: float  # median
    helps: float  # shares of the studies
    futile: float  # decided otherwise: harm, or no gain of the wanted size


def expect_stops(plan: Plan) -> tuple[ExpectedStop, ...]:
    """With no difference, the wanted one, and twice and three times as much, by simulation; empty for other plans."""
    if not plan.stop_early:
        return ()
    claim = plan.sequences[0][0] if plan.sequences else plan.claims[0]
    found = []
    for times in range(4):
        effect = min(times * plan.effect, 1.0)
        disagree = max(_disagreement(plan, claim), effect)
        generator = keyed_generator("stops", plan.study, times)
        stops = simulate_stops(effect, disagree, plan, plan.levels.alpha * claim.share, generator)
        found.append(ExpectedStop(effect, stops.median, stops.helps, stops.hurts + stops.futile))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a study takes, in hours of one machine."""

    training: float  # hours per training
    rollout: float  # hours per episode
    trainings: int = 3  # per seed: E0, E1, E2
    conditions: int = 5  # per seed: the same, and E2 with zero and with random memory


@dataclass(frozen=True, slots=True)
class Allocation:
    """One way to spend the hours."""

    seeds: int
    init_states: int
    repeats: int
    rollouts: int  # in all conditions
    hours: float
    power: tuple[tuple[str, float], ...]  # claim and its power


MOST_SEEDS = 30
EPISODES = ((10, 1), (20, 1), (30, 1), (40, 1), (50, 1), (50, 2), (50, 3), (50, 4))
"""Initial states and repeats per task worth considering: all 50 states before any is repeated."""


def allocate(plan: Plan, costs: Costs, episodes: Sequence[tuple[int, int]] = EPISODES) -> tuple[Allocation, ...]:
    """Studies in which every claim of the decision rule reaches the plan's power at its wanted effect, cheapest first.

    One per choice of episodes, with the fewest seeds that suffice; empty where ``MOST_SEEDS`` seeds do not. The first
    seed count that suffices is also the cheapest for those episodes. Where nothing is trained there are as many
    checkpoints as there are.
    """
    found = []
    plan = replace(plan, claims=tuple(claim for claim in plan.claims if claim.part) or plan.claims)
    for states, repeats in episodes:
        for seeds in range(FEWEST_SEEDS, MOST_SEEDS + 1) if costs.trainings else (len(plan.seeds),):
            sized = replace(
                plan,
                seeds=tuple(range(seeds)),
                init_states=tuple(range(states)),
                repeats=repeats,
                looks=(),
                stop_early=0,
                order=(),
            )
            power = tuple((claim.name, _power(sized, claim)) for claim in sized.claims)
            if all(reached >= plan.levels.power for _, reached in power):
                rollouts = seeds * sized.episodes_per_seed * costs.conditions
                hours = seeds * costs.trainings * costs.training + rollouts * costs.rollout
                found.append(Allocation(seeds, states, repeats, rollouts, hours, power))
                break
    return tuple(sorted(found, key=lambda each: each.hours))
