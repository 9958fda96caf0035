"""p-values keep their digits, and are never told as 0."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.record_files import write_records

from world_modality.cli.report import compare_sets
from world_modality.evidence.rates import fisher_p
from world_modality.report.comparison import as_data, compare
from world_modality.report.judgement import probability
from world_modality.report.record_sets import read_set
from world_modality.report.text import p_text, p_told

ALWAYS, NEVER = {0: "1" * 40, 1: "1" * 40}, {0: "0" * 40, 1: "0" * 40}


@given(st.floats(1e-300, 1.0))
def test_data_hold_three_significant_digits(p):
    assert probability(p) == pytest.approx(p, rel=5e-3)
    assert float(f"{probability(p):.3g}") == probability(p)


def test_what_is_not_known_is_nothing():
    assert probability(math.nan) is None
    assert p_text(None) == ""


@pytest.mark.parametrize(("p", "text"), [(1.0, "1"), (0.0312, "0.031"), (2.5e-6, "2.5e-06"), (9e-7, "< 1e-06")])
def test_words_for_readers(p, text):
    assert p_text(p) == text
    assert p_told(p) == (f"p {text}" if "<" in text else f"p = {text}")


def test_a_task_by_task_comparison_never_says_that_p_is_0(tmp_path):
    one, two = (write_records(tmp_path / f"{n}.jsonl", o, checkpoint=n) for n, o in (("a", ALWAYS), ("b", NEVER)))
    data = as_data(compare(read_set(one), read_set(two), margin=0.05))
    assert all(0 < row["p_holm"] < 1e-6 for row in data["tasks"])
    assert 0 < data["verdicts"][0]["p_greater"] < 1e-6
    text = compare_sets(one, two, 0.05, None)
    assert text.count("p < 1e-06") == 2
    assert "p = 0" not in text


def test_neither_does_fishers_test(tmp_path):
    one = write_records(tmp_path / "a.jsonl", ALWAYS)
    two = write_records(tmp_path / "b.jsonl", NEVER, init_state_digest="other")
    data = as_data(compare(read_set(one), read_set(two), margin=0.05))
    assert data["unpaired"]["p"] == pytest.approx(fisher_p((80, 80), (0, 80)), rel=5e-3)
    assert "Fisher's p < 1e-06" in compare_sets(one, two, 0.05, None)
