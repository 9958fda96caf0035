import json
import re

import pytest

from world_modality.report.files import escape, to_latex


@pytest.fixture
def table(toy, report):
    artifact, _ = report(toy)
    return json.loads((artifact / "table.json").read_text())


def test_every_rate_and_every_decided_claim_has_a_row(table):
    text = to_latex(table)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 2 + len(table["tasks"]) + 1 + sum(each["primary"] for each in table["judgement"]["verdicts"])
    assert r"4/4 [51-100]" in text
    assert r"\toprule" in text


def test_every_claim_says_how_sure_its_own_interval_is(table):
    decided = [each for each in table["judgement"]["verdicts"] if each["primary"] and each["low"] is not None]
    decided[0]["confidence"] = 0.9807  # as at a look before the last one
    told = re.findall(r" & (\S+)\\% & cannot tell & ", to_latex(table))
    assert told == ["98.07", *["95"] * (len(decided) - 1)]
    assert "points [interval]" in to_latex(table)


def test_rows_have_as_many_cells_as_the_tabular_has_conditions(table):
    for body in re.findall(r"\\begin{tabular}(.*?)\\end{tabular}", to_latex(table), re.S):
        conditions = re.match(r"{@{}(l+)@{}}", body)[1]
        for line in body.splitlines():
            if line.endswith(r"\\"):
                assert len(re.split(r"(?<!\\)&", line)) == len(conditions)


def test_braces_and_environments_are_balanced(table):
    text = re.sub(r"\\[{}]", "", to_latex(table))
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin") == text.count(r"\end") == 4


def test_the_caption_says_which_assets_were_used(table):
    caption = re.search(r"\\caption{(.*)}", to_latex(table))[1]
    assert "(assets aaaaaaaaaaaaaaaa)" in caption


def test_a_withheld_verdicts_caption_is_one_sentence_after_another(toy, report):
    toy.sealed_at = ""
    artifact, _ = report(toy)
    told = json.loads((artifact / "table.json").read_text())
    assert told["judgement"]["withheld"]
    for caption in re.findall(r"\\caption{(.*)}", to_latex(told)):
        assert "never sealed" in caption
        assert ".." not in caption


def test_signs_that_latex_would_eat_are_escaped():
    assert escape(r"50% of a_b & c\d {x} ~ ^ # $") == (
        r"50\% of a\_b \& c\textbackslash{}d \{x\} \textasciitilde{} \textasciicircum{} \# \$"
    )
