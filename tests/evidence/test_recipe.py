import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_ind
from statsmodels.stats.weightstats import ttost_ind

from world_modality.evidence.contrast import contrast
from world_modality.evidence.effect import Levels, is_equivalent
from world_modality.evidence.outcomes import CellRates, outcomes_of
from world_modality.evidence.recipe import paired_runs, welch
from world_modality.evidence.sensitivity import mixed_model, seed_task_blocks

LEVELS = Levels()
rates = st.lists(st.integers(0, 200).map(lambda wins: wins / 200), min_size=3, max_size=9).map(np.array)


@given(rates, rates)
def test_welch_equals_scipy(one, two):
    if one.var() + two.var() < 1e-12:
        return
    ours = welch(one, two, LEVELS, 100, 10)
    scipys = ttest_ind(one, two, equal_var=False)
    wide, narrow = scipys.confidence_interval(0.95), scipys.confidence_interval(0.90)
    assert ours.p_greater == pytest.approx(ttest_ind(one, two, equal_var=False, alternative="greater").pvalue, abs=1e-9)
    assert ours.p_two_sided == pytest.approx(scipys.pvalue, abs=1e-9)
    assert ours.interval.low == pytest.approx(max(-1, wide.low), abs=1e-9)
    assert ours.interval.high == pytest.approx(min(1, wide.high), abs=1e-9)
    assert ours.bounds.low == pytest.approx(max(-1, narrow.low), abs=1e-9)


@given(rates)
def test_paired_runs_equal_scipy(gaps):
    if gaps.var() < 1e-12:
        return
    ours = paired_runs(gaps - 0.4, LEVELS, 100, 10)
    scipys = ttest_1samp(gaps - 0.4, 0.0, alternative="greater")
    assert ours.p_greater == pytest.approx(scipys.pvalue, abs=1e-9)
    assert ours.interval.low == pytest.approx(max(-1, ttest_1samp(gaps - 0.4, 0).confidence_interval().low), abs=1e-9)


@given(rates, rates, st.floats(0.01, 0.4))
def test_bounds_and_tost_decide_alike(one, two, margin):
    if one.var() + two.var() < 1e-12:
        return
    p = ttost_ind(one, two, -margin, margin, usevar="unequal")[0]
    bounds = welch(one, two, LEVELS, 1, 1).bounds
    if abs(p - LEVELS.alpha) > 1e-9:
        assert (p < LEVELS.alpha) == is_equivalent(bounds, margin)


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_say_nothing_about_the_recipe(seeds):
    one = welch(np.full(seeds, 0.9), np.full(seeds, 0.1), LEVELS, 10, 5)
    assert one.problem.startswith(f"{seeds} seed")
    assert "at least 3" in one.problem
    assert (one.p_greater, one.interval.low, one.interval.high) == (1.0, -1.0, 1.0)
    assert one.estimate == pytest.approx(0.8)
    assert paired_runs(np.full(seeds, 0.5), LEVELS, 10, 5).problem == one.problem


def test_runs_that_do_not_vary_say_nothing():
    assert "equally well" in welch(np.full(4, 1.0), np.full(4, 0.0), LEVELS, 10, 5).problem
    assert "equally well" in paired_runs(np.full(4, 0.1), LEVELS, 10, 5).problem


def cells(rate):
    rate = np.asarray(rate, dtype=float)
    seeds, tasks = rate.shape
    return CellRates(tuple(range(seeds)), tuple(range(tasks)), rate, np.full(rate.shape, 50))


def noisy(seed, seeds=5, tasks=6, run_sd=0.05):
    rng = np.random.default_rng(seed)
    return cells(
        np.linspace(0.5, 0.9, tasks) + run_sd * rng.normal(size=(seeds, 1)) + 0.02 * rng.normal(size=(seeds, tasks))
    )


def test_blocks_are_a_t_test():
    one, two = noisy(1), noisy(2)
    scipys = ttest_1samp((one.rate - two.rate).ravel(), 0.0)
    ours = seed_task_blocks(one, two, LEVELS, 1, 1)
    assert ours.p_two_sided == pytest.approx(scipys.pvalue)
    assert ours.interval.high == pytest.approx(scipys.confidence_interval().high)


def test_mixed_model_is_the_split_plot_analysis():
    """With balanced cells and a run variance above zero, REML gives the arm the error of a pooled t-test on runs."""
    one, two = noisy(1), noisy(2)
    pooled = ttest_ind(one.means, two.means)
    found = mixed_model(one, two, LEVELS, 1, 1)
    assert found.converged
    assert found.effect.estimate == pytest.approx(one.means.mean() - two.means.mean())
    assert found.effect.p_two_sided == pytest.approx(pooled.pvalue, rel=0.01)


def test_mixed_model_without_run_variance_pools_the_cells():
    one, two = noisy(5, run_sd=0.0), noisy(6, run_sd=0.0)
    runs = [cell.rate - cell.rate.mean(axis=0) for cell in (one, two)]
    between = sum((run.mean(axis=1) ** 2).sum() for run in runs) * 6 / 8
    within = sum(((run - run.mean(axis=1, keepdims=True)) ** 2).sum() for run in runs) / 40
    assert between < within, "the example must lie on the boundary"
    found = mixed_model(one, two, LEVELS, 1, 1)
    assert found.converged
    arm = one.rate.mean() - two.rate.mean()
    # All variation around task means plus the arm's: 60 cells, 7 fixed effects.
    task = (one.rate.mean(axis=0) + two.rate.mean(axis=0)) / 2
    left = sum(((cell.rate - task - sign * arm / 2) ** 2).sum() for cell, sign in ((one, 1), (two, -1))) / 53
    error = np.sqrt(left * 2 / 30)
    half = (found.effect.interval.high - found.effect.interval.low) / 2
    assert half == pytest.approx(error * 2.0106, rel=0.02)  # t on 48 degrees of freedom


def test_a_hopeless_fit_is_reported():
    same = cells(np.full((3, 4), 0.5))
    found = mixed_model(same, same, LEVELS, 1, 1)
    assert not found.converged
    assert found.effect.problem


def test_sensitivity_needs_complete_cells():
    hole = noisy(1)
    hole.rate[0, 0] = np.nan
    with pytest.raises(ValueError, match="every task"):
        seed_task_blocks(hole, noisy(2), LEVELS, 1, 1)
    few = noisy(1)
    few.scenes[:, 0] = 6
    with pytest.raises(ValueError, match="as many scenes of every task"):
        seed_task_blocks(few, few, LEVELS, 1, 1)
    with pytest.raises(ValueError, match="same seeds and tasks"):
        mixed_model(noisy(1, seeds=4), noisy(2), LEVELS, 1, 1)


@pytest.mark.parametrize("same_checkpoints", [True, False])
def test_seeds_that_each_lack_a_task_say_nothing_about_the_recipe(same_checkpoints):
    halves = ([0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 0, 1], [0] * 4)  # seed 0 has task 0 alone, seed 1 task 1
    pair = (outcomes_of(*halves, [1, 1, 1, 0]), outcomes_of(*halves, [0, 1, 0, 0]))
    effect = contrast(*pair, "recipe", same_checkpoints, Levels(), "partial")
    assert effect.problem == "no training seed has episodes of every task yet"
    assert (effect.estimate, effect.seeds, effect.episodes) == (0.5, 0, 4)
