"""Two arms on other episodes, task by task."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.evidence.outcomes import outcomes_of
from world_modality.evidence.rates import mixed_alike, newcombe, stratified_difference

TASKS = st.lists(st.lists(st.booleans(), min_size=1, max_size=12), min_size=1, max_size=4)


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
    expected = newcombe((sum(one), len(one)), (sum(two), len(two)))
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
        naive = newcombe(*((int(np.concatenate(each).sum()), 105) for each in drawn))
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
