import math

import numpy as np
import pytest
from support.outcome_grids import grid

from world_modality.evidence.betting import betting_p, betting_power, betting_sequence, in_random_order
from world_modality.evidence.outcomes import clusters_of


def draws(rng, n, treated=0.1, control=0.1):
    return rng.choice([1.0, -1.0, 0.0], n, p=[treated, control, 1 - treated - control])


def capital(x, m, alpha, sign):
    """The gambler's capital against the mean m, one bet after the other."""
    wealth, mean_sum, square_sum, variance, most = 1.0, 0.5, 0.25, 0.25, []
    for t, value in enumerate(x, start=1):
        bet = math.sqrt(2 * math.log(1 / alpha) / (variance * t * math.log(1 + t)))
        edge = m if sign > 0 else 1 - m
        bet = min(bet, 0.5 / edge) if edge else bet
        wealth *= 1 + sign * bet * (value - m)
        most.append(wealth)
        mean_sum += value
        square_sum += (value - mean_sum / (t + 1)) ** 2
        variance = square_sum / (t + 1)
    return np.maximum.accumulate(most)


def test_the_sequence_holds_what_no_gambler_got_rich_on():
    d = draws(np.random.default_rng(0), 120, 0.3, 0.1)
    sequence = betting_sequence(d, 0.9)
    x = (d + 1) / 2
    for t in (20, 60, 120):
        alive = [
            m
            for m in np.linspace(0, 1, 401)
            if max(capital(x[:t], m, 0.05, 1)[-1], capital(x[:t], m, 0.05, -1)[-1]) <= 2 / 0.1
        ]
        assert sequence.low[t - 1] == pytest.approx(2 * min(alive) - 1, abs=0.01)
        assert sequence.high[t - 1] == pytest.approx(2 * max(alive) - 1, abs=0.01)


def test_the_p_value_is_one_over_the_most_capital():
    d = draws(np.random.default_rng(1), 200, 0.2, 0.1)
    assert betting_p(d, 0.05) == pytest.approx(1 / capital((d + 1) / 2, 0.5, 0.05, 1)[-1])


def test_both_equal_fieldtrials():
    stats = pytest.importorskip("fieldtrial.stats")
    for seed in range(5):
        d = draws(np.random.default_rng(seed), 300, 0.15, 0.1)
        theirs = stats.paired_anytime_test(d, 0.05)
        ours = betting_sequence(d, 0.95)
        assert ours.low == pytest.approx(theirs.sequence.lower, abs=0.005)
        assert ours.high == pytest.approx(theirs.sequence.upper, abs=0.005)
        greater = stats.paired_anytime_test(d, 0.05, "greater")
        assert betting_p(d, 0.05) == pytest.approx(greater.test.pvalue, rel=1e-6)


@pytest.mark.slow
def test_no_moment_of_500_is_too_sure():
    rng, runs = np.random.default_rng(2), 400
    missed = rejected = 0
    for _ in range(runs):
        d = draws(rng, 500)
        sequence = betting_sequence(d, 0.9)
        missed += bool((sequence.low > 0).any() or (sequence.high < 0).any())
        rejected += betting_p(d, 0.05) <= 0.05
    assert missed / runs <= 0.10
    assert rejected / runs <= 0.06


def test_a_later_look_never_widens():
    sequence = betting_sequence(draws(np.random.default_rng(3), 300))
    assert np.all(np.diff(sequence.low) >= 0)
    assert np.all(np.diff(sequence.high) <= 0)


@pytest.mark.parametrize("bad", [np.array([]), np.array([1.5]), np.array([[0.1]])])
def test_differences_lie_within_one(bad):
    with pytest.raises(ValueError, match="within"):
        betting_p(bad, 0.05)


def test_power_grows_with_the_effect_and_counts_repeats():
    def power(effect, scenes=400, repeats=1):
        return betting_power(effect, 0.12, scenes, repeats, 0.05, np.random.default_rng(0))

    assert power(0.0) <= 0.05
    assert power(0.03) < power(0.06) < power(0.1)
    assert power(0.04, repeats=4) > power(0.04)


def test_the_order_is_fixed_by_the_key():
    rng = np.random.default_rng(0)
    one, two = (grid(rng.random((1, 2, 30, 1)) < 0.5) for _ in range(2))
    clusters = clusters_of(one, two)
    first = in_random_order(clusters, np.random.default_rng(5))
    assert first.tolist() == in_random_order(clusters, np.random.default_rng(5)).tolist()
    assert first.tolist() != clusters.means.tolist()
    assert sorted(first) == sorted(clusters.means)
