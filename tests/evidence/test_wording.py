from dataclasses import replace

import pytest

from world_modality.evidence.effect import Effect, Levels
from world_modality.evidence.plan import standard_claims
from world_modality.evidence.proportions import Interval
from world_modality.evidence.verdict import Verdict, word_for
from world_modality.evidence.wording import points, sentence

CLAIM = standard_claims()[2]
EFFECT = Effect(
    scope="recipe",
    method="Welch",
    levels=Levels(),
    interval=Interval(0.01, -0.07, 0.09),
    bounds=Interval(0.01, -0.06, 0.08),
    p_greater=0.4,
    p_less=0.6,
    units=200,
    clusters=200,
    seeds=3,
    detectable=0.12,
)


def told(effect):
    word, reason = word_for(effect, CLAIM, identical=False)
    return sentence(Verdict(CLAIM, effect, word, reason, "secondary", identical=False))


def test_two_intervals_in_a_sentence_are_both_named():
    text = told(EFFECT)
    assert "95% interval -7.0 to +9.0" in text
    assert "(90% interval) differences from -6.0 to +8.0 points remain possible" in text


def test_looks_change_what_the_interval_of_the_tests_is_called():
    assert "(98% interval)" in told(replace(EFFECT, levels=Levels(alpha=0.01)))


def test_the_smallest_detectable_difference_is_one_that_can_be():
    assert "smallest detectable difference 12.0" in told(EFFECT)
    beyond = told(replace(EFFECT, detectable=1.059))
    assert "105.9" not in beyond
    assert "too little for any difference, however large, to be found" in beyond


@pytest.mark.parametrize(("fraction", "text"), [(0.031, "+3.1"), (-0.0001, "0.0"), (-0.25, "-25.0")])
def test_points_have_a_sign_and_zero_has_none(fraction, text):
    assert points(fraction, signed=True) == text
