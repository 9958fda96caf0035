import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.outcome_grids import grid

from world_modality.evidence.outcomes import (
    Outcomes,
    cell_rates,
    clusters_of,
    common_episodes,
    outcomes_of,
    ranks,
    scenes,
)

episodes = st.lists(
    st.tuples(st.sampled_from([0, 7, 2**31]), st.integers(0, 3), st.integers(0, 49), st.integers(0, 3)),
    unique=True,
    min_size=1,
    max_size=60,
)


def of(keys, success) -> Outcomes:
    return outcomes_of(*zip(*keys, strict=True), success)


@given(episodes, st.data())
def test_any_order_gives_the_same_columns(keys, data):
    success = data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys)))
    order = data.draw(st.permutations(range(len(keys))))
    one, two = of(keys, success), of([keys[i] for i in order], [success[i] for i in order])
    assert one.same_episodes(two)
    assert one.success.tolist() == two.success.tolist()
    rows = list(zip(one.seed, one.task, one.init_state, one.repeat, strict=True))
    assert rows == sorted(keys)
    assert dict(zip(rows, one.success, strict=True)) == dict(zip(keys, success, strict=True))


def test_columns_are_read_only_and_their_own():
    success = np.array([True, False])
    outcomes = Outcomes(np.array([0, 0]), np.array([0, 1]), np.array([0, 0]), np.array([0, 0]), success)
    success[0] = False
    assert outcomes.success.tolist() == [True, False]
    with pytest.raises(ValueError, match="read-only"):
        outcomes.success[0] = False


def test_an_episode_comes_once():
    with pytest.raises(ValueError, match=r"\[3, 1, 4, 0\] comes twice"):
        outcomes_of([3, 3], [1, 1], [4, 4], [0, 0], [True, True])


def test_columns_are_equally_long():
    with pytest.raises(ValueError, match="equally long"):
        outcomes_of([1, 2], [1], [1], [1], [True])


@given(st.lists(st.integers(-5, 2**40) | st.integers(0, 9), max_size=40))
def test_ranks_are_numpys(values):
    column = np.array(values, dtype=np.int64)
    found, rank = ranks(column)
    expected, inverse = np.unique(column, return_inverse=True)
    assert found.tolist() == expected.tolist()
    assert rank.tolist() == inverse.tolist()


@given(episodes, st.data())
def test_clusters_count_by_scene(keys, data):
    flips = st.lists(st.booleans(), min_size=len(keys), max_size=len(keys))
    treated, control = of(keys, data.draw(flips)), of(keys, data.draw(flips))
    clusters = clusters_of(treated, control)
    expected: dict[tuple[int, int], list[int]] = {}
    for task, state, one, two in zip(treated.task, treated.init_state, treated.success, control.success, strict=True):
        expected.setdefault((task, state), []).append(int(one) - int(two))
    rows = zip(clusters.task, clusters.init_state, clusters.total, clusters.episodes, clusters.means, strict=True)
    wanted = [(*scene, sum(gaps), len(gaps), np.mean(gaps)) for scene, gaps in sorted(expected.items())]
    np.testing.assert_allclose(list(rows), wanted)
    assert clusters.only_treated.sum() == sum(gap > 0 for gaps in expected.values() for gap in gaps)
    assert clusters.pairs == len(keys)
    task = int(treated.task[0])
    assert len(clusters.of_task(task)) == sum(scene[0] == task for scene in expected)


def test_clusters_need_the_same_episodes():
    one = grid(np.ones((1, 1, 3, 1)))
    with pytest.raises(ValueError, match="same episodes"):
        clusters_of(one, one.where(one.init_state > 0))
    with pytest.raises(ValueError, match="at least one"):
        clusters_of(one.where(one.task > 5), one.where(one.task > 5))


def test_common_episodes_are_the_intersection():
    one = grid(np.ones((2, 2, 3, 1)))
    left, right = common_episodes(one.where(one.init_state != 0), one.where(one.seed == 1))
    assert left.same_episodes(right)
    assert set(zip(left.seed, left.init_state, strict=True)) == {(1, 1), (1, 2)}
    assert len(left) == 4


def test_cell_rates_mark_what_is_missing():
    full = grid([[[[1], [0]], [[1], [1]]], [[[0], [0]], [[1], [0]]]])
    cells = cell_rates(full.where(~((full.seed == 1) & (full.task == 1))))
    assert cells.rate[0].tolist() == [0.5, 1.0]
    assert cells.rate[1, 0] == 0.0
    assert np.isnan(cells.rate[1, 1])
    assert cells.scenes.tolist() == [[2, 2], [2, 0]]
    assert cells.means[0] == 0.75
    assert np.isnan(cells.means[1])


@given(episodes, st.data())
def test_cell_rates_weigh_scenes_equally(keys, data):
    outcomes = of(keys, data.draw(st.lists(st.booleans(), min_size=len(keys), max_size=len(keys))))
    cells = cell_rates(outcomes)
    scenes_of: dict[tuple[int, int], dict[int, list[bool]]] = {}
    for seed, task, state, won in zip(outcomes.seed, outcomes.task, outcomes.init_state, outcomes.success, strict=True):
        scenes_of.setdefault((seed, task), {}).setdefault(state, []).append(won)
    for row, seed in enumerate(cells.seeds):
        means = []
        for column, task in enumerate(cells.tasks):
            own = [np.mean(won) for won in scenes_of.get((seed, task), {}).values()]
            means += own or [np.nan]
            assert cells.scenes[row, column] == len(own)
            assert cells.rate[row, column] == pytest.approx(np.mean(own) if own else np.nan, nan_ok=True)
        assert cells.means[row] == pytest.approx(np.mean(means), nan_ok=True)


def test_scenes_are_numbered_in_order():
    task, state, index = scenes(outcomes_of([0, 0, 1], [5, 2, 5], [9, 9, 9], [0, 0, 0], [1, 1, 1]))
    assert list(zip(task, state, strict=True)) == [(2, 9), (5, 9)]
    assert index.tolist() == [0, 1, 1]
