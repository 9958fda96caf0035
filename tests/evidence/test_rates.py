import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom, norm, t
from statsmodels.stats.proportion import confint_proportions_2indep
from support.outcome_grids import flat, grid

from world_modality.evidence.rates import fisher_p, newcombe, success_rate, wilson

group = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(group, group)
def test_newcombe_equals_statsmodels(one, two):
    ours = newcombe(one, two)
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
