import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from world_modality.evidence import signflip
from world_modality.evidence.signflip import sign_flip

scenes = st.lists(
    st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(-n, n), st.just(n))), min_size=1, max_size=9
)


def columns(rows):
    total, episodes = np.array(rows, dtype=np.int64).T
    return total, episodes


def by_enumeration(total, episodes):
    means = total / episodes
    sums = np.array([np.dot(signs, means) for signs in itertools.product([-1, 1], repeat=len(means))])
    return (sums >= means.sum() - 1e-9).mean(), (sums <= means.sum() + 1e-9).mean()


@settings(deadline=None)
@given(scenes)
def test_exact_p_values_are_those_of_all_signs(rows):
    total, episodes = columns(rows)
    found = sign_flip(total, episodes, np.random.default_rng(0))
    greater, less = by_enumeration(total, episodes)
    assert found.exact
    assert found.p_greater == pytest.approx(greater, abs=1e-12)
    assert found.p_less == pytest.approx(less, abs=1e-12)


def test_it_agrees_with_scipy():
    rng = np.random.default_rng(1)
    episodes = np.full(12, 4)
    total = rng.integers(-4, 5, 12)
    scipys = permutation_test(
        (total / 4,), np.sum, permutation_type="samples", alternative="greater", n_resamples=10**5
    )
    assert sign_flip(total, episodes, rng).p_greater == pytest.approx(scipys.pvalue, abs=1e-9)


@given(scenes)
def test_the_arms_are_interchangeable(rows):
    total, episodes = columns(rows)
    rng = np.random.default_rng(0)
    one, two = sign_flip(total, episodes, rng), sign_flip(-total, episodes, rng)
    assert one.p_greater == pytest.approx(two.p_less, abs=1e-12)


def test_500_scenes_are_enumerated_exactly():
    """All 500 differences point the same way: one sign vector of 2^500 is as extreme."""
    found = sign_flip(np.ones(500, dtype=np.int64), np.ones(500, dtype=np.int64), np.random.default_rng(0))
    assert found.exact
    assert found.p_greater < 1e-12
    assert found.p_less == 1.0


def test_drawn_signs_come_close_to_the_exact_test(monkeypatch):
    rng = np.random.default_rng(2)
    total, episodes = rng.integers(-3, 5, 60), np.full(60, 4)
    exact = sign_flip(total, episodes, rng)
    monkeypatch.setattr(signflip, "LATTICE", 1)
    drawn = sign_flip(total, episodes, np.random.default_rng(3), draws=20_000)
    assert not drawn.exact
    assert drawn.p_greater == pytest.approx(exact.p_greater, abs=4 * 0.5 / np.sqrt(20_000))
    assert drawn.p_less == pytest.approx(exact.p_less, abs=4 * 0.5 / np.sqrt(20_000))


def test_drawn_p_values_are_never_zero(monkeypatch):
    monkeypatch.setattr(signflip, "LATTICE", 1)
    found = sign_flip(np.ones(80, dtype=np.int64), np.ones(80, dtype=np.int64), np.random.default_rng(0), draws=99)
    assert found.p_greater == 0.01


def test_without_any_difference_nothing_is_found():
    found = sign_flip(np.zeros(5, dtype=np.int64), np.full(5, 2), np.random.default_rng(0))
    assert (found.p_greater, found.p_less) == (1.0, 1.0)


def test_empty_scenes_are_refused():
    with pytest.raises(ValueError, match="positive number of pairs"):
        sign_flip(np.array([1, 0]), np.array([1, 0]), np.random.default_rng(0))
