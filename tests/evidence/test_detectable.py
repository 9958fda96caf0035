import pytest
from statsmodels.stats.proportion import power_proportions_2indep

from world_modality.evidence.detectable import smallest_detectable_difference


@pytest.mark.parametrize("units", [20, 60, 200, 2000])
def test_the_effect_has_the_promised_power(units):
    effect = smallest_detectable_difference(units)
    reached = power_proportions_2indep(effect, 0.5 - effect / 2, units, alpha=0.05, return_results=False)
    assert reached == pytest.approx(0.8, abs=0.002)


def test_it_shrinks_with_units_and_is_capped():
    effects = [smallest_detectable_difference(units) for units in (1, 2, 4, 12, 100, 10000)]
    assert effects[0] == 1.0
    assert effects == sorted(effects, reverse=True)
    assert effects[3] == pytest.approx(0.54, abs=0.02)


def test_no_units_is_refused():
    with pytest.raises(ValueError, match="positive"):
        smallest_detectable_difference(0)
