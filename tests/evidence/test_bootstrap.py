import numpy as np
import pytest
from support.outcome_grids import grid

from world_modality.evidence.checkpoint import checkpoint_effect
from world_modality.evidence.effect import Levels
from world_modality.evidence.outcomes import Clusters, clusters_of
from world_modality.evidence.resampling import cluster_bootstrap


def two_tasks(seed=0, states=30, repeats=3):
    rng = np.random.default_rng(seed)
    control = rng.random((1, 2, states, repeats)) < 0.6
    treated = np.where(rng.random(control.shape) < 0.5, control, rng.random(control.shape) < 0.75)
    return clusters_of(grid(treated), grid(control))


def roots_by_resampling(clusters, rng, resamples):
    """The same distribution, scene by scene."""
    tasks = [clusters.means[clusters.task == task] for task in np.unique(clusters.task)]
    centre = np.mean([task.mean() for task in tasks])
    roots = []
    for _ in range(resamples):
        drawn = [rng.choice(task, task.size) for task in tasks]
        error = np.sqrt(sum(task.var(ddof=1) / task.size for task in drawn)) / len(tasks)
        roots.append((np.mean([task.mean() for task in drawn]) - centre) / error)
    return np.array(roots)


def test_roots_are_those_of_resampled_scenes():
    clusters = two_tasks()
    ours = cluster_bootstrap(clusters, np.random.default_rng(1), resamples=20_000)
    naive = roots_by_resampling(clusters, np.random.default_rng(2), 20_000)
    for share in (0.025, 0.05, 0.5, 0.95, 0.975):
        assert np.quantile(ours.roots, share) == pytest.approx(np.quantile(naive, share), abs=0.08)


def test_the_estimate_weighs_scenes_equally():
    clusters = two_tasks()
    ours = cluster_bootstrap(clusters, np.random.default_rng(1))
    tasks = [clusters.means[clusters.task == task] for task in (0, 1)]
    assert ours.estimate == pytest.approx((tasks[0].mean() + tasks[1].mean()) / 2)
    error = np.sqrt(tasks[0].var(ddof=1) / 30 + tasks[1].var(ddof=1) / 30) / 2
    assert ours.error == pytest.approx(error)


def test_a_task_counts_by_its_scenes():
    clusters = two_tasks()
    few = Clusters(*(getattr(clusters, name)[:40] for name in Clusters.__slots__))  # 30 scenes and 10
    ours = cluster_bootstrap(few, np.random.default_rng(1))
    tasks = [few.means[few.task == task] for task in (0, 1)]
    assert ours.estimate == pytest.approx(0.75 * tasks[0].mean() + 0.25 * tasks[1].mean())
    error = np.sqrt(0.75**2 * tasks[0].var(ddof=1) / 30 + 0.25**2 * tasks[1].var(ddof=1) / 10)
    assert ours.error == pytest.approx(error)


def test_intervals_are_ordered_and_nested():
    ours = cluster_bootstrap(two_tasks(), np.random.default_rng(1))
    wide, narrow = ours.interval(0.95), ours.interval(0.9)
    assert wide.low < narrow.low < ours.estimate < narrow.high < wide.high


def test_nothing_to_resample():
    same = grid(np.ones((1, 2, 5, 1)))
    with pytest.raises(ValueError, match="all scenes agree"):
        cluster_bootstrap(clusters_of(same, same), np.random.default_rng(0))
    single = clusters_of(grid([[[[1]], [[0]]]]), grid([[[[0]], [[0]]]]))
    with pytest.raises(ValueError, match="one scene"):
        cluster_bootstrap(single, np.random.default_rng(0))


def test_few_differing_scenes_are_not_resampled():
    control = np.zeros((1, 1, 40, 1))
    treated = control.copy()
    treated[0, 0, :3] = 1
    clusters = clusters_of(grid(treated), grid(control))
    effect = checkpoint_effect(clusters, 1, Levels(), np.random.default_rng(0))
    assert "Tango" in effect.method
    assert effect.p_greater == pytest.approx(1 / 8)
    assert effect.interval.low < effect.bounds.low < effect.estimate == pytest.approx(3 / 40)
    many = checkpoint_effect(two_tasks(), 1, Levels(), np.random.default_rng(0))
    assert "bootstrap" in many.method


def test_one_scene_says_nothing():
    one = checkpoint_effect(clusters_of(grid([[[[1]]]]), grid([[[[0]]]])), 1, Levels(), np.random.default_rng(0))
    assert one.problem == "only one scene"
    assert (one.estimate, one.interval.low, one.interval.high, one.p_greater) == (1.0, -1.0, 1.0, 1.0)


def test_coverage():
    """Scenes of two tasks with different effects; equally many; the truth is the mean over them."""
    rng, covered, runs = np.random.default_rng(3), 0, 300
    for number in range(runs):
        base = rng.uniform(0.3, 0.7, (2, 40))
        shift = np.array([[0.2], [-0.1]]) + 0.1 * rng.choice([-1, 1], (2, 40))
        control = rng.random((1, 2, 40, 2)) < base[None, :, :, None]
        treated = rng.random((1, 2, 40, 2)) < (base + shift)[None, :, :, None]
        ours = cluster_bootstrap(clusters_of(grid(treated), grid(control)), np.random.default_rng(number), 1000)
        interval = ours.interval(0.95)
        covered += interval.low <= 0.05 <= interval.high
    assert 0.91 <= covered / runs <= 0.985


@pytest.mark.parametrize("odd", [0, 1, 5])
@pytest.mark.parametrize("tasks", [1, 3])
def test_one_arm_always_succeeds_and_the_other_hardly_ever(tasks, odd):
    control = np.zeros((1, tasks, 50, 2), dtype=bool)
    control[0, 0, :odd] = True
    clusters = clusters_of(grid(np.ones_like(control)), grid(control))
    effect = checkpoint_effect(clusters, 1, Levels(), np.random.default_rng(0))
    assert effect.estimate == pytest.approx(1 - odd / 50 / tasks)
    assert effect.p_greater < 1e-9
    assert 0.7 < effect.interval.low < effect.estimate <= effect.interval.high <= 1
    assert effect.interval.low < effect.bounds.low
