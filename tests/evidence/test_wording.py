from dataclasses import replace

import pytest
from support.claims import standard_claims

from world_modality.evidence.effect import Effect, Levels, unknown
from world_modality.evidence.rates import Interval
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
    episodes=200,
    clusters=200,
    seeds=3,
    detectable=0.12,
)


def told(effect):
    word, reason = word_for(effect, CLAIM, identical=False)
    return sentence(Verdict(CLAIM, effect, word, reason, "secondary", identical=False))


def test_what_cannot_be_told_is_one_plain_sentence():
    assert told(EFFECT) == (
        "Cannot tell: across trainings, predicted memory changed success by +1.0 points against no memory (E2 - E0, "
        "95% interval -7.0 to +9.0, 3 seeds, 200 episodes per condition on 200 scenes; could find 12.0 points)."
    )


def test_why_nothing_is_known_stands_in_the_numbers_place():
    effect = unknown("recipe", "Welch", Levels(), -0.08, (12, 12, 1), "1 seed, at least 3 needed")
    assert told(effect) == (
        "Cannot tell: across trainings, predicted memory changed success by -8.0 points against no memory (E2 - E0, "
        "12 episodes per condition on 12 scenes; 1 seed, at least 3 needed)."
    )


def test_that_tests_and_interval_disagree_is_said():
    odd = replace(EFFECT, interval=Interval(0.04, 0.001, 0.09))
    assert told(odd).endswith("points): its one-sided tests still allow -6.0 to +8.0 points (90% interval).")
    assert "(98% interval)" in told(replace(odd, levels=Levels(alpha=0.01)))


def test_what_could_be_found_is_a_difference_that_can_be():
    beyond = told(replace(EFFECT, detectable=1.059))
    assert "105.9" not in beyond
    assert "could find no difference, however large" in beyond


@pytest.mark.parametrize(("fraction", "text"), [(0.031, "+3.1"), (-0.0001, "0.0"), (-0.25, "-25.0")])
def test_points_have_a_sign_and_zero_has_none(fraction, text):
    assert points(fraction, signed=True) == text
