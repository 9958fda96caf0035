"""Whatever the scope and the method, a difference is the mean over scenes: unequal tasks make no two answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.claims import standard_claims

from world_modality.evidence.contrast import contrast
from world_modality.evidence.effect import Levels
from world_modality.evidence.outcomes import Outcomes, cell_rates, clusters_of
from world_modality.evidence.paired import difference_of_clusters
from world_modality.evidence.resampling import cluster_bootstrap
from world_modality.evidence.verdict import word_for

SIGNS = {"helps": 1, "hurts": -1}


def arms(sizes, repeats, seeds, generator, chances=(0.8, 0.6)):
    """Two arms on tasks of these many scenes; scene i of a task is repeated ``repeats[i % len(repeats)]`` times."""
    episodes = [
        (seed, task, state, repeat)
        for seed in range(seeds)
        for task, size in enumerate(sizes)
        for state in range(size)
        for repeat in range(repeats[state % len(repeats)])
    ]
    conditions = [np.array(condition) for condition in zip(*episodes, strict=True)]
    return tuple(Outcomes(*conditions, generator.random(len(episodes)) < chance) for chance in chances)


def mean_over_scenes(treated, control):
    """By the definition."""
    gaps = {}
    for task, state, one, two in zip(treated.task, treated.init_state, treated.success, control.success, strict=True):
        gaps.setdefault((task, state), []).append(int(one) - int(two))
    return np.mean([np.mean(each) for each in gaps.values()])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=4),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_every_method_estimates_the_mean_over_scenes(sizes, repeats, seeds, key):
    pair = arms(sizes, repeats, seeds, np.random.default_rng(key))
    clusters, expected = clusters_of(*pair), mean_over_scenes(*pair)
    found = [difference_of_clusters(clusters).interval.estimate]
    for scope in ("checkpoint", "recipe"):
        for same in (True, False):
            effect = contrast(*pair, scope, same, Levels(), "key")
            found.append(effect.estimate)
            word, _ = word_for(effect, standard_claims()[0], identical=False)
            assert SIGNS.get(word, 0) * effect.estimate >= 0
    if np.unique(clusters.means).size > 1 and all(len(set(clusters.of_task(t).means)) > 1 for t in range(len(sizes))):
        found.append(cluster_bootstrap(clusters, np.random.default_rng(0), 100).estimate)
    assert found == pytest.approx([expected] * len(found), abs=1e-9)
    if len(set(repeats)) == 1:
        assert pair[0].rate - pair[1].rate == pytest.approx(expected)
    assert cell_rates(pair[0]).means.shape == (seeds,)


def test_a_large_task_and_a_small_one():
    """100 scenes on which A is better by 20 points, 6 on which it is worse by 100: +14 / 106, not -40 points."""
    task = np.repeat([0, 1], [100, 6])
    state = np.concatenate([np.arange(100), np.arange(6)])
    zeros = np.zeros_like(task)
    one = Outcomes(zeros, task, state, zeros, (task == 0) & (state < 80))
    two = Outcomes(zeros, task, state, zeros, (task == 1) | (state < 60))
    effect = contrast(one, two, "checkpoint", False, Levels(), "key")
    assert effect.estimate == pytest.approx(14 / 106) == one.rate - two.rate
    assert word_for(effect, standard_claims()[0], identical=False)[0] == "helps"
    assert effect.interval.low > 0


def test_unequal_tasks_are_covered():
    """The truth is the mean over scenes: 60 with a gain of 10 points, 8 with a loss of 30."""
    rng, sizes, covered, runs = np.random.default_rng(5), (60, 8), 0, 200
    truth = (60 * 0.1 - 8 * 0.3) / 68
    for number in range(runs):
        one, two = arms(sizes, (3,), 1, rng, (0.5, 0.5))
        shift = np.where(one.task == 0, 0.6, 0.2)
        one = Outcomes(one.seed, one.task, one.init_state, one.repeat, rng.random(len(one)) < shift)
        interval = cluster_bootstrap(clusters_of(one, two), np.random.default_rng(number), 1000).interval(0.95)
        covered += interval.low <= truth <= interval.high
    assert 0.91 <= covered / runs <= 0.985
