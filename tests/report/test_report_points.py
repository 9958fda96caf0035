"""One way to write points: a sentence and the row of its verdict say the same numbers."""

import re
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st
from support.claims import standard_claims

from world_modality.evidence.effect import Effect, Levels
from world_modality.evidence.rates import Interval
from world_modality.evidence.verdict import Verdict, word_for
from world_modality.evidence.wording import sentence
from world_modality.report.judgement import effect_limits, rounded
from world_modality.report.text import detectable_text, points_text

CLAIM = standard_claims()[2]
NEAR_TIES = st.builds(lambda tie, off: tie / 2000 + off, st.integers(-999, 999), st.floats(-4e-7, 4e-7))


def effect_of(estimate, half):
    interval = Interval(estimate, estimate - half, estimate + half)
    return Effect("recipe", "Welch", Levels(), interval, interval, 0.4, 0.6, 200, 200, 3, half)


@given(NEAR_TIES, NEAR_TIES.map(abs))
@example(0.0315 - 1e-8, 0.1)
@example(0.0315 + 1e-8, 0.1)
def test_a_sentence_says_what_its_row_says(estimate, half):
    effect = effect_of(estimate, half)
    text = sentence(Verdict(CLAIM, effect, *word_for(effect, CLAIM, identical=False), "secondary", identical=False))
    row = {**effect_limits(effect), "detectable": rounded(effect.detectable)}
    told = re.search(r"success by (\S+) points|E2 - E0 = (\S+),", text)
    low, high = re.search(r"95% interval (\S+) to (\S+),", text).groups()
    assert f"{told[1] or told[2]} [{low}, {high}]" == points_text(row)
    assert f"could find {detectable_text(row)} points)" in text


def test_a_limit_of_zero_has_no_sign():
    effect = effect_of(0.1, 0.1)
    effect = replace(effect, interval=Interval(0.1, 0.01, 0.21))
    assert "still allow 0.0 to +20.0 points" in word_for(effect, CLAIM, identical=False)[1]
