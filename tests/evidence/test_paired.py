import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from support.outcome_grids import flat

from world_modality.evidence.outcomes import clusters_of
from world_modality.evidence.paired import difference_of_clusters, tango


def difference(treated, control, scenes):
    return difference_of_clusters(clusters_of(*flat(treated, control, scenes)))


tables = st.integers(2, 80).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n)))
)


def score_by_search(b, c, n, d):
    """Tango's statistic with the nuisance probability found by maximising the likelihood numerically."""

    def negative_log_likelihood(q):
        cells = [(b, q + d), (c, q), (n - b - c, 1 - 2 * q - d)]
        return -sum(count * np.log(max(p, 1e-300)) for count, p in cells if count)

    low, high = max(0.0, -d), (1 - d) / 2
    q = minimize_scalar(negative_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (b - c - n * d) / np.sqrt(n * (2 * q + d * (1 - d)))


@settings(max_examples=60, deadline=None)
@given(tables)
def test_tango_inverts_the_score_test(table):
    interval = tango(*table)
    z = norm.ppf(0.975)
    for limit, sign in ((interval.low, 1), (interval.high, -1)):
        if abs(limit) < 0.999:
            assert score_by_search(*table, limit) == pytest.approx(sign * z, abs=2e-4)


@given(tables)
def test_tango_is_ordered_and_antisymmetric(table):
    b, c, n = table
    forward, backward = tango(b, c, n), tango(c, b, n)
    assert -1 <= forward.low <= forward.estimate <= forward.high <= 1
    assert forward.low == pytest.approx(-backward.high, abs=1e-8)
    assert forward.high == pytest.approx(-backward.low, abs=1e-8)


def test_tango_keeps_its_width_without_discordant_pairs():
    z = norm.ppf(0.975)
    assert tango(0, 0, 20).high == pytest.approx(z**2 / (20 + z**2), abs=1e-9)
    assert tango(0, 0, 20).low < 0


def test_tango_refuses_impossible_counts():
    with pytest.raises(ValueError, match="discordant"):
        tango(3, 2, 4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_one_episode_per_scene_is_tango(pairs):
    treated, control = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    result = difference(treated, control, list(range(len(pairs))))
    assert result.interval == tango(result.only_treated, result.only_control, len(pairs))
    assert result.interval.estimate == pytest.approx(np.mean(treated) - np.mean(control))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=20), st.integers(2, 4))
def test_copies_of_a_scene_add_no_certainty(pairs, copies):
    treated, control = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    scenes = list(range(len(pairs)))
    once = difference(treated, control, scenes).interval
    copied = difference(treated * copies, control * copies, scenes * copies)
    assert copied.clusters == len(pairs)
    assert copied.interval.low <= once.low + 1e-9
    assert copied.interval.high >= once.high - 1e-9


def test_coverage_with_repeated_scenes():
    """50 scenes x 4 repeats whose scenes differ in their effect: 95% intervals must cover at least about 95%."""
    rng, covered, runs = np.random.default_rng(5), 0, 400
    scenes = np.repeat(np.arange(50), 4)
    for _ in range(runs):
        base = rng.uniform(0.2, 0.8, 50)
        effect = rng.choice([-0.2, 0.0, 0.2], 50)
        control = rng.random(200) < base[scenes]
        treated = rng.random(200) < (base + effect)[scenes]
        interval = difference(treated.tolist(), control.tolist(), scenes.tolist()).interval
        covered += interval.low <= 0 <= interval.high
    assert 0.92 <= covered / runs <= 0.99
