"""What the calibration benchmark does with one simulated study; each function returns named numbers to be averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
from statsmodels.stats.proportion import proportions_ztest
from support.simulated_studies import Design, Noise, SimulatedArm, five_arms, simulate

from world_modality.evidence.betting import betting_p, betting_sequence, in_random_order
from world_modality.evidence.checkpoint import checkpoint_effect
from world_modality.evidence.contrast import watched_gaps
from world_modality.evidence.effect import Levels, is_equivalent
from world_modality.evidence.gates import GIVEN, Gate
from world_modality.evidence.judge import judge
from world_modality.evidence.noise import assume
from world_modality.evidence.outcomes import Floats, Outcomes, cell_rates, clusters_of
from world_modality.evidence.paired import difference_of_clusters
from world_modality.evidence.plan import Assumptions, Plan
from world_modality.evidence.rates import Interval, hybrid, success_rate, wilson
from world_modality.evidence.recipe import paired_runs, welch
from world_modality.evidence.resampling import cluster_bootstrap, keyed_generator, sign_flip
from world_modality.evidence.sensitivity import mixed_model, seed_task_blocks
from world_modality.evidence.spending import Spending, plan_looks

ALPHA = 0.05
LEVELS = Levels(alpha=ALPHA)
Numbers = dict[str, float]


def decisions(conditions: Mapping[str, Outcomes], margin: float) -> Numbers:
    """Whether each primary claim is confirmed at ALPHA, and what a naive test would have said; 1.0 or 0.0 each."""
    means = {name: cell_rates(outcomes).means for name, outcomes in conditions.items()}
    pairs = {name: clusters_of(conditions["E2"], conditions[name]) for name in ("E2-zero", "E2-random")}
    rng = keyed_generator("not drawn from: whole episodes are enumerated")
    zero, noise = (sign_flip(each.total, each.episodes, rng).p_greater <= ALPHA for each in pairs.values())
    better = welch(means["E2"], means["E0"], LEVELS, 0, 0).p_greater <= ALPHA
    return {
        "pred > zero": zero,
        "pred > random": noise,
        "E2 > E0": better,
        "E1 = E0": is_equivalent(welch(means["E1"], means["E0"], LEVELS, 0, 0).bounds, margin),
        "pred > zero, recipe": paired_runs(means["E2"] - means["E2-zero"], LEVELS, 0, 0).p_greater <= ALPHA,
        "any of the sequence": zero,  # nothing later is tested unless this is confirmed
        "naive pooled E2 > E0": _pooled(conditions["E2"], conditions["E0"]) <= ALPHA,
    }


def _pooled(treated: Outcomes, control: Outcomes) -> float:
    """One-sided two-proportion z-test of all episodes of all seeds, as if each were independent."""
    wins = [int(treated.success.sum()), int(control.success.sum())]
    return float(proportions_ztest(wins, [len(treated), len(control)], alternative="larger")[1])


def claims_study(design: Design, arms: Mapping[str, SimulatedArm], margin: float, *key: int | str) -> Numbers:
    """``decisions`` on one simulated study."""
    return decisions(simulate(design, arms, Noise(), keyed_generator(*key)).conditions, margin)


def pilot_study(design: Design, arms: Mapping[str, SimulatedArm], *key: int | str) -> Numbers:
    """The numbers of the plan's assumptions, as 100 other seeds of the same arms tell them."""
    conditions = simulate(replace(design, seeds=100), arms, Noise(), keyed_generator(*key)).conditions
    # The pilot is large, so its estimate is taken rather than the cautious upper limit.
    found = asdict(assume(Assumptions(), conditions["E0"], (conditions["E2"], conditions["E2-zero"]), cautious=False))
    return {name: value for name, value in found.items() if name != "source"}


def looks_study(seeds: tuple[int, ...], *key: int | str) -> Numbers:
    """Whether a study without any effect, looked at after each of ``seeds``, is ever stopped."""
    conditions = simulate(Design(seeds[-1]), five_arms(), Noise(), keyed_generator(*key)).conditions
    means = {name: cell_rates(conditions[name]).means for name in ("E2", "E0")}
    found = {}
    for spending in _SPENDING:
        levels = plan_looks([each / seeds[-1] for each in seeds], ALPHA, spending).level
        tests = [welch(means["E2"][:n], means["E0"][:n], LEVELS, 0, 0).p_greater for n in seeds]
        found[f"E2 > E0, {spending}"] = any(p <= level for p, level in zip(tests, levels, strict=True))
    found["E2 > E0, no correction"] = any(p <= ALPHA for p in tests)
    # The p-value is that of the largest capital so far, so the last look tells whether any of them stopped the study.
    gaps = watched_gaps(conditions["E2"], conditions["E2-zero"], range(seeds[-1]), "/".join(map(str, key)))
    return {**found, "pred > zero, betting": betting_p(gaps, ALPHA) <= ALPHA}


def judged_study(plan: Plan, arms: Mapping[str, SimulatedArm], *key: int | str) -> Numbers:
    """What ``judge`` makes of one simulated study of the plan's size: each claim's gain or equality, and the rule."""
    design = Design(len(plan.seeds), len(plan.init_states), plan.repeats)
    conditions = simulate(design, arms, Noise(), keyed_generator(*key)).conditions
    found = judge(plan, conditions, [Gate(name, True, "") for name in GIVEN])
    met = {"better": "helps", "equal": "equivalent"}
    told = {each.claim.name: float(each.word == met[each.claim.kind]) for each in found.verdicts if each.primary}
    return {**told, "accepted": float(found.accepted is True), "refuted": float(found.accepted is False)}


_SPENDING: tuple[Spending, ...] = ("obrien_fleming", "pocock")


def recipe_coverage(design: Design, noise: Noise, effect: float, with_model: bool, *key: int | str) -> Numbers:
    """Whether the intervals about the recipe hold the true effect."""
    conditions = simulate(design, five_arms(effect, effect), noise, keyed_generator(*key)).conditions
    cells = {name: cell_rates(conditions[name]) for name in ("E2", "E0", "E2-zero")}
    difference = welch(cells["E2"].means, cells["E0"].means, LEVELS, 0, 0)
    intervals = {
        "Welch": difference.interval,
        "per-seed differences": paired_runs(cells["E2"].means - cells["E2-zero"].means, LEVELS, 0, 0).interval,
        "seed x task blocks": seed_task_blocks(cells["E2"], cells["E0"], LEVELS, 0, 0).interval,
    }
    if with_model:
        intervals["mixed model"] = mixed_model(cells["E2"], cells["E0"], LEVELS, 0, 0).effect.interval
    held = {name: _holds(interval, effect) for name, interval in intervals.items()}
    return {**held, "Welch's bounds": _holds(difference.bounds, effect)}


def checkpoint_coverage(design: Design, effect: float, *key: int | str) -> Numbers:
    """Whether the intervals about checkpoints hold the checkpoints' true rates and differences."""
    rng = keyed_generator(*key)
    study = simulate(design, five_arms(0.0, effect), Noise(), rng)
    clusters = clusters_of(study.conditions["E2"], study.conditions["E2-zero"])
    truth = float((study.truth["E2"] - study.truth["E2-zero"]).mean())
    resampled = cluster_bootstrap(clusters, rng)
    held = {
        "cluster bootstrap-t, all tasks": _holds(resampled.interval(0.95), truth),
        "its bounds": _holds(resampled.interval(1 - 2 * ALPHA), truth),
        "Tango, all tasks": _holds(difference_of_clusters(clusters).interval, truth),
        "Wilson, all tasks": _holds(success_rate(study.conditions["E0"]), float(study.truth["E0"].mean())),
    }
    return held | _task_coverage(study.conditions, study.truth, rng)


def _task_coverage(
    conditions: Mapping[str, Outcomes], truth: Mapping[str, Floats], rng: np.random.Generator
) -> Numbers:
    """Per task the intervals of a rate and of two checkpoints' difference; shares of the tasks."""
    rates, gaps = [], []
    for condition, task in enumerate(conditions["E0"].tasks):
        one, two = conditions["E2"].of_task(task), conditions["E0"].of_task(task)
        rates.append(_holds(success_rate(two), float(truth["E0"][:, condition].mean())))
        gap = float((truth["E2"] - truth["E0"])[:, condition].mean())
        gaps.append(_holds(checkpoint_effect(clusters_of(one, two), len(one.seeds), LEVELS, rng).interval, gap))
    return {"Wilson, one task": float(np.mean(rates)), "E2 - E0, one task": float(np.mean(gaps))}


def separate_coverage(*key: int | str) -> Numbers:
    """Newcombe's interval of two arms on one task, rolled out on scenes of their own."""
    design, rng = Design(1), keyed_generator(*key)
    first, second = (simulate(design, {"E0": SimulatedArm("E0")}, Noise(), rng) for _ in range(2))
    held = []
    for condition, task in enumerate(first.conditions["E0"].tasks):
        one, two = (study.conditions["E0"].of_task(task) for study in (first, second))
        interval = hybrid(*(wilson(int(arm.success.sum()), len(arm)) for arm in (one, two)))
        held.append(_holds(interval, float((first.truth["E0"] - second.truth["E0"])[0, condition])))
    return {"Newcombe, one task": float(np.mean(held))}


def sequence_coverage(effect: float, *key: int | str) -> Numbers:
    """Whether the betting sequence of one checkpoint holds the truth after every scene."""
    rng = keyed_generator(*key)
    study = simulate(Design(1), five_arms(0.0, effect), Noise(), rng)
    truth = float((study.truth["E2"] - study.truth["E2-zero"]).mean())
    gaps = in_random_order(clusters_of(study.conditions["E2"], study.conditions["E2-zero"]), rng)
    sequence = betting_sequence(gaps)
    held = (sequence.low <= truth) & (truth <= sequence.high)
    return {"betting, at every scene at once": float(held.all())}


def _holds(interval: Interval, truth: float) -> float:
    return float(interval.low <= truth <= interval.high)
