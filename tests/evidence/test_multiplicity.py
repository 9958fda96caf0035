import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests

from world_modality.evidence.multiplicity import fixed_sequence, holm, shrink


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.floats(0.001, 0.999))
def test_holm_is_the_closed_bonferroni_test(p_values, alpha):
    """A claim is rejected when Bonferroni rejects every set of claims that holds it."""
    adjusted = holm(p_values)
    names = range(len(p_values))
    for name in names:
        sets = [s for k in range(1, len(p_values) + 1) for s in itertools.combinations(names, k) if name in s]
        worst = max(min(min(p_values[i] for i in s) * len(s), 1.0) for s in sets)
        assert adjusted[name] == pytest.approx(worst, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_of_nothing():
    assert holm([]) == ()


@given(st.lists(st.booleans(), max_size=6))
def test_the_sequence_stops_at_the_first_failure(found):
    steps = fixed_sequence(found)
    passed = len(list(itertools.takewhile(bool, found)))
    expected = ["confirmed"] * passed + ["not confirmed"] * (passed < len(found))
    assert list(steps) == expected + ["not tested"] * (len(found) - len(expected))


def by_hand(d, s):
    """Paule and Mandel: the tau^2 at which the weighted squares equal their degrees of freedom."""

    def surplus(tau2):
        w = 1 / (s**2 + tau2)
        return (w * (d - (w * d).sum() / w.sum()) ** 2).sum() - (d.size - 1)

    tau2 = brentq(surplus, 0, 10) if surplus(0) > 0 else 0.0
    w = 1 / (s**2 + tau2)
    m = (w * d).sum() / w.sum()
    return m + tau2 / (tau2 + s**2) * (d - m)


def test_shrinking_equals_the_formula():
    rng = np.random.default_rng(0)
    for _ in range(20):
        s = rng.uniform(0.01, 0.05, 8)
        d = rng.normal(0.02, 0.04, 8) + s * rng.normal(size=8)
        assert shrink(d, s) == pytest.approx(by_hand(d, s), abs=1e-4)


def test_shrunken_estimates_are_closer_to_the_truth():
    rng = np.random.default_rng(1)
    truth = rng.normal(0.02, 0.02, (300, 10))
    errors = np.full(10, 0.05)
    noisy = truth + errors * rng.normal(size=truth.shape)
    shrunk = np.array([shrink(row, errors) for row in noisy])
    assert ((shrunk - truth) ** 2).mean() < 0.5 * ((noisy - truth) ** 2).mean()


def test_one_task_is_left_alone():
    assert shrink(np.array([0.3]), np.array([0.1])).tolist() == [0.3]


def test_errors_are_positive():
    with pytest.raises(ValueError, match="positive standard error"):
        shrink(np.array([0.1, 0.2]), np.array([0.0, 0.1]))
