import json

import pytest


def table_of(toy, report):
    artifact, _ = report(toy)
    return json.loads((artifact / "table.json").read_text()), (artifact / "table.md").read_text()


def test_several_seeds_are_analysed_in_two_more_ways_that_agree_on_the_estimate(toy, report):
    toy.seeds = (0, 1, 2)
    table, text = table_of(toy, report)
    claims = {each["claim"]: each["estimate"] for each in table["judgement"]["verdicts"]}
    assert {row["claim"] for row in table["other_analyses"]} == set(claims)
    for row in table["other_analyses"]:
        assert row["estimate"] == pytest.approx(claims[row["claim"]])
    methods = {claim: {row["method"] for row in table["other_analyses"] if row["claim"] == claim} for claim in claims}
    blocks, model = "seed x task blocks", "mixed model, runs random"
    assert methods["E2 > E0"] == {blocks, model}
    assert methods["pred > zero"] == {blocks}, "both memories share their runs, which the model takes for other ones"
    assert "seed x task blocks" in text


def test_one_seed_is_not(toy, report):
    table, text = table_of(toy, report)
    assert table["other_analyses"] == []
    assert "Other analyses" not in text
