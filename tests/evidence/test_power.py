import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, t
from statsmodels.stats.power import TTestIndPower, TTestPower

from world_modality.evidence.power import detectable_effect, detectable_margin, equivalence_power, power_of


@pytest.mark.parametrize("seeds", [3, 5, 8, 20])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.3, 3.0])
def test_two_groups_equal_statsmodels(seeds, ratio):
    ours = power_of(ratio, math.sqrt(2 / seeds), 2 * seeds - 2, 0.05)
    theirs = TTestIndPower().power(ratio, seeds, 0.05, alternative="larger")
    assert ours == pytest.approx(theirs, abs=1e-8)


@pytest.mark.parametrize("seeds", [3, 8])
def test_one_group_equals_statsmodels(seeds):
    ours = detectable_effect(1 / math.sqrt(seeds), seeds - 1, 0.025, 0.8)
    assert ours == pytest.approx(
        TTestPower().solve_power(nobs=seeds, alpha=0.025, power=0.8, alternative="larger"), rel=1e-5
    )


@pytest.mark.parametrize(("seeds", "points"), [(3, (5.7, 9.0)), (5, (3.7, 6.0)), (8, (2.8, 4.4))])
def test_decidable_effects_of_the_protocol(seeds, points):
    """Two-sided Welch at 80% power, for run-to-run SDs of 1.84 and 2.94 points."""
    found = [detectable_effect(sd * math.sqrt(2 / seeds), 2 * seeds - 2, 0.025, 0.8) for sd in (1.84, 2.94)]
    assert found == pytest.approx(points, abs=0.1)


@pytest.mark.parametrize(("seeds", "points"), [(3, (5.4, 8.6)), (5, (3.7, 6.0)), (8, (2.8, 4.5))])
def test_decidable_margins_of_the_protocol(seeds, points):
    found = [detectable_margin(sd * math.sqrt(2 / seeds), 2 * seeds - 2, 0.05, 0.8) for sd in (1.84, 2.94)]
    assert found == pytest.approx(points, abs=0.15)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.001, 0.2), st.sampled_from([4.0, 14.0, math.inf]), st.sampled_from([0.8, 0.9]))
def test_a_detectable_effect_has_the_power(error, freedom, power):
    effect = detectable_effect(error, freedom, 0.05, power)
    assert power_of(effect, error, freedom, 0.05) == pytest.approx(power, abs=1e-6)
    margin = detectable_margin(error, freedom, 0.05, power)
    assert equivalence_power(margin, error, freedom, 0.05) == pytest.approx(power, abs=1e-5)


@pytest.mark.parametrize("alpha", [1e-3, 1e-6, 1e-9])
def test_two_degrees_of_freedom_and_a_tiny_alpha(alpha):
    """The critical value c is in the hundreds, and P(T > c) is nearly P(sqrt(chi2 / 2) < shift / c)."""
    effect = detectable_effect(1.0, 2.0, alpha, 0.8)
    assert effect == pytest.approx(t.isf(alpha, 2) * math.sqrt(chi2.ppf(0.8, 2) / 2), rel=0.01)
    margin = detectable_margin(1.0, 2.0, alpha, 0.8)
    assert equivalence_power(margin, 1.0, 2.0, alpha) == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize(("margin", "effect", "freedom"), [(2.5, 0.0, 8), (3.0, 1.0, 4), (3.0, 3.0, 14), (0.5, 0.0, 8)])
def test_equivalence_power_by_simulation(margin, effect, freedom):
    rng = np.random.default_rng(0)
    estimate = effect + rng.standard_normal(200_000)
    error = np.sqrt(rng.chisquare(freedom, 200_000) / freedom)
    critical = t.isf(0.05, freedom) * error
    simulated = np.mean((estimate + critical < margin) & (estimate - critical > -margin))
    assert equivalence_power(margin, 1.0, freedom, 0.05, effect) == pytest.approx(simulated, abs=0.004)


def test_without_noise_everything_is_seen():
    assert power_of(0.01, 0.0, 4, 0.05) == 1.0
    assert power_of(0.0, 0.0, 4, 0.05) == 0.0
    assert detectable_effect(0.0, 4, 0.05, 0.8) == 0.0
    assert detectable_margin(0.0, 4, 0.05, 0.8) == 0.0
    assert equivalence_power(0.01, 0.0, 4, 0.05) == 1.0


def test_far_effects_are_certain():
    assert power_of(1.0, 1e-4, 3, 0.05) == pytest.approx(1.0)
