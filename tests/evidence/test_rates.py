from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom, norm, t
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from support.outcome_grids import flat, grid

from world_modality.evidence.outcomes import outcomes_of
from world_modality.evidence.rates import (
    fisher_p,
    hybrid,
    mixed_alike,
    standard_error,
    stratified_difference,
    success_rate,
    wilson,
)

group = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
TASKS = st.lists(st.lists(st.booleans(), min_size=1, max_size=12), min_size=1, max_size=4)


@given(group, group)
def test_newcombe_equals_statsmodels(one, two):
    ours = hybrid(wilson(*one), wilson(*two))
    low, high = confint_proportions_2indep(*one, *two, method="newcomb", compare="diff")
    assert ours.low == pytest.approx(low, abs=1e-9)
    assert ours.high == pytest.approx(high, abs=1e-9)
    assert ours.low <= ours.estimate <= ours.high


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(0, 25))
def test_fisher_sums_the_tables_that_are_no_likelier(one, wins):
    """The definition: hypergeometric probabilities of all tables with the same margins."""
    x, n = one
    m = 25
    possible = np.arange(max(0, x + wins - m), min(n, x + wins) + 1)
    mass = hypergeom.pmf(possible, n + m, x + wins, n)
    here = hypergeom.pmf(x, n + m, x + wins, n)
    assert fisher_p(one, (wins, m)) == pytest.approx(mass[mass <= here * (1 + 1e-9)].sum(), abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_every_scene_once_is_wilson(success):
    arm, _ = flat(success, success, list(range(len(success))))
    assert success_rate(arm) == wilson(sum(success), len(success))


@given(st.lists(st.booleans(), min_size=2, max_size=25), st.integers(2, 5))
def test_copies_of_a_scene_add_no_certainty(success, copies):
    scenes = list(range(len(success)))
    once, _ = flat(success, success, scenes)
    copied, _ = flat(success * copies, success * copies, scenes * copies)
    assert success_rate(copied).low <= success_rate(once).low + 1e-9
    assert success_rate(copied).high >= success_rate(once).high - 1e-9


@given(st.lists(st.booleans(), min_size=2, max_size=25), st.integers(2, 5))
def test_the_standard_error_is_binomial_and_copies_make_it_no_smaller(success, copies):
    scenes, rate = list(range(len(success))), np.mean(success)
    once, _ = flat(success, success, scenes)
    copied, _ = flat(success * copies, success * copies, scenes * copies)
    alone = standard_error(once)
    assert alone == pytest.approx(np.sqrt(rate * (1 - rate) / len(success)))
    assert standard_error(copied) >= alone - 1e-9


def test_the_standard_error_of_repeated_scenes_is_that_of_their_means():
    rng = np.random.default_rng(0)
    scenes = rng.random(40)
    drawn = rng.random((40, 5)) < scenes[:, None]
    error = standard_error(grid(drawn.reshape(1, 1, 40, 5)))
    assert error == pytest.approx(drawn.mean(axis=1).std(ddof=1) / np.sqrt(40))
    assert standard_error(grid(np.ones((1, 1, 1, 5)))) is None


def test_tasks_that_differ_do_not_widen_the_interval():
    """Scenes are drawn within tasks, so what tasks differ by is not noise: only the scenes of the second task vary."""
    easy = np.ones((1, 1, 20, 2))
    hard = np.repeat(np.arange(20) % 2, 2).reshape(1, 1, 20, 2)
    both = success_rate(grid(np.concatenate([easy, hard], axis=1)))
    assert both.estimate == 0.75
    # 80 episodes of 40 scenes; residuals are +-1 in 20 scenes of the second task: 20/19 * 20 / 80^2.
    effect = (20 / 19 * 20 / 80**2) / (0.75 * 0.25 / 80)
    effective = 80 / effect * (1.959964 / 2.024394) ** 2
    assert both.high - both.low == pytest.approx(2 * half_width(0.75, effective), abs=1e-5)


def half_width(p, n, z=1.959964):
    return z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)


def test_coverage_with_repeated_scenes():
    """50 scenes x 4 repeats of very different difficulty: 95% intervals must cover about 95%; Wilson's covers 80%."""
    rng, runs, covered, naive = np.random.default_rng(11), 600, 0, 0
    for _ in range(runs):
        chance = rng.beta(0.8, 0.8, 50)
        success = rng.random((1, 1, 50, 4)) < chance[None, None, :, None]
        interval = success_rate(grid(success))
        covered += interval.low <= 0.5 <= interval.high
        plain = wilson(int(success.sum()), 200)
        naive += plain.low <= 0.5 <= plain.high
    assert 0.925 <= covered / runs <= 0.975
    assert naive / runs < 0.85


@pytest.mark.parametrize(("states", "repeats"), [(1, 5), (1, 20), (2, 5), (50, 4)])
def test_coverage_over_ten_tasks(states, repeats):
    """Ten tasks that differ, and their scenes as well; the truth is the mean over tasks and over all their scenes."""
    rng, rates, runs = np.random.default_rng(states * repeats), np.linspace(0.55, 0.95, 10), 400
    covered = []
    for _ in range(runs):
        scene = rng.beta(3 * rates, 3 * (1 - rates), (states, 10)).T
        interval = success_rate(grid(rng.random((1, 10, states, repeats)) < scene[None, :, :, None]))
        covered.append(interval.low <= rates.mean() <= interval.high)
    assert 0.925 <= np.mean(covered) <= (0.995 if states == 1 else 0.98)


def test_the_ordinary_case_hardly_knows_how_the_freedom_is_counted():
    """50 scenes x 10 tasks x 4 repeats: t on 490 degrees of freedom; on 499 the limits would move by 1e-5."""
    rng = np.random.default_rng(3)
    scene = rng.beta(4, 1, (1, 10, 50, 1))
    arm = grid(rng.random((1, 10, 50, 4)) < scene)
    wins = arm.success.reshape(10, 50, 4).sum(axis=2)
    robust = 50 / 49 * ((wins - wins.mean(axis=1, keepdims=True)) ** 2).sum() / 2000**2
    effect = robust / (arm.rate * (1 - arm.rate) / 2000)
    found = success_rate(arm)
    for freedom, near in ((490, 1e-9), (499, 2e-5)):
        effective = 2000 / effect * (norm.ppf(0.975) / t.ppf(0.975, freedom)) ** 2
        assert found.high - found.low == pytest.approx(2 * half_width(arm.rate, effective, norm.ppf(0.975)), abs=near)


def test_an_arm_without_episodes_is_refused():
    one = grid(np.ones((1, 1, 1, 1)))
    with pytest.raises(ValueError, match="without episodes"):
        success_rate(one.where(~one.success))


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_equals_statsmodels(count, confidence):
    ours = wilson(*count, confidence)
    low, high = proportion_confint(*count, alpha=1 - confidence, method="wilson")
    assert ours.low == pytest.approx(low, abs=1e-12)
    assert ours.high == pytest.approx(high, abs=1e-12)
    assert 0 <= ours.low <= ours.estimate <= ours.high <= 1


def test_wilson_never_collapses_at_the_ends():
    assert wilson(0, 4).high == pytest.approx(0.4899, abs=1e-4)
    assert wilson(4, 4).low == pytest.approx(0.5101, abs=1e-4)
    assert wilson(0, 4).low == 0


@pytest.mark.parametrize(("successes", "trials"), [(-1, 4), (5, 4), (0, 0)])
def test_wilson_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_confidence_is_a_fraction(confidence):
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence)


def arm(tasks, first=0):
    """Outcomes of one seed: per task its episodes, each a scene of its own."""
    task = [number for number, own in enumerate(tasks) for _ in own]
    state = [first + place for own in tasks for place in range(len(own))]
    return outcomes_of([0] * len(task), task, state, [0] * len(task), [each for own in tasks for each in own])


@given(TASKS, TASKS)
def test_the_estimate_is_the_weighted_mean_of_the_common_tasks(one, two):
    common = list(zip(one, two, strict=False))
    weights = [min(len(a), len(b)) for a, b in common]
    expected = np.average([np.mean(a) - np.mean(b) for a, b in common], weights=weights)
    found, back = stratified_difference(arm(one), arm(two, 50)), stratified_difference(arm(two, 50), arm(one))
    assert found.estimate == pytest.approx(expected)
    assert found.low - 1e-9 <= found.estimate <= found.high + 1e-9
    assert (found.low, found.high) == pytest.approx((-back.high, -back.low))


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.lists(st.booleans(), min_size=1, max_size=30))
def test_on_one_task_it_is_newcombes(one, two):
    found = stratified_difference(arm([one]), arm([two], 50))
    expected = hybrid(*(wilson(sum(each), len(each)) for each in (one, two)))
    assert (found.estimate, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Rates that differ by task, arms that mix the tasks in opposite shares: 95%, where the pooled interval fails."""
    rng = np.random.default_rng(3)
    rate, sizes = np.array([0.85, 0.5, 0.15]), ([60, 30, 15], [15, 30, 60])
    held, pooled, studies = 0, 0, 400
    for _ in range(studies):
        drawn = [[rng.random(n) < p for n, p in zip(own, rate, strict=True)] for own in sizes]
        found = stratified_difference(arm(drawn[0]), arm(drawn[1], 100))
        held += found.low <= 0 <= found.high
        naive = hybrid(*(wilson(int(np.concatenate(each).sum()), 105) for each in drawn))
        pooled += naive.low <= 0 <= naive.high
    assert 0.92 <= held / studies <= 0.985
    assert pooled / studies < 0.1


def test_shares_of_tasks_are_compared_exactly():
    assert mixed_alike(arm([[1] * 3, [1] * 6]), arm([[0] * 1, [0] * 2]))
    assert not mixed_alike(arm([[1] * 3, [1] * 6]), arm([[0] * 2, [0] * 2]))
    assert not mixed_alike(arm([[1] * 3, [1] * 6]), arm([[0] * 3]))


def test_arms_without_a_common_task_are_refused():
    with pytest.raises(ValueError, match="share no task"):
        stratified_difference(arm([[1]]), outcomes_of([0], [5], [0], [0], [1]))
