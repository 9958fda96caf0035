import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from world_modality.evidence.graded import graded_difference

RNG = np.random.default_rng(0)


def scenes(tasks, states, repeats=1):
    task, state, _ = (axis.ravel() for axis in np.indices((tasks, states, repeats)))
    return task, state


def test_on_one_task_without_repeats_it_is_the_t_interval():
    task, state = scenes(1, 60)
    gaps = RNG.choice([-0.5, 0.5, 1.0], 60)
    found = graded_difference(task, state, gaps, 0.95)
    theirs = ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((gaps.mean(), theirs.low, theirs.high))
    assert (found.pairs, found.scenes) == (60, 60)


@given(st.integers(1, 4), st.integers(2, 8), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_every_scene_counts_the_same_in_any_order(tasks, states, repeats, seed):
    rng = np.random.default_rng(seed)
    task, state = scenes(tasks, states, repeats)
    gaps = rng.uniform(-1, 1, task.size)
    order = rng.permutation(task.size)
    found = graded_difference(task, state, gaps, 0.9)
    again = graded_difference(task[order], state[order], gaps[order], 0.9)
    means = gaps.reshape(tasks * states, repeats).mean(axis=1)
    assert found.estimate == pytest.approx(means.mean())
    assert (again.estimate, again.low) == pytest.approx((found.estimate, found.low), nan_ok=True)


def test_it_covers_also_where_tasks_differ():
    rng, held, studies = np.random.default_rng(1), 0, 400
    task, state = scenes(5, 20)
    for _ in range(studies):
        gaps = np.clip(np.array([-0.2, 0.0, 0.1, 0.3, 0.3])[task] + rng.normal(0, 0.3, task.size), -1, 1)
        found = graded_difference(task, state, gaps, 0.95)
        held += found.low <= 0.1 <= found.high
    assert 0.92 <= held / studies <= 0.98


@pytest.mark.parametrize("gaps", [np.zeros(60), np.r_[np.full(5, 0.5), np.zeros(55)]])
def test_where_hardly_a_scene_differs_there_is_no_interval(gaps):
    found = graded_difference(*scenes(3, 20), gaps, 0.95)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.estimate == pytest.approx(gaps.mean())


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        graded_difference(np.array([0]), np.array([0, 1]), np.array([0.5]), 0.95)
