"""Claims follow from the conditions' memory modes, and the plan from the study alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.claims import standard_claims
from support.small_study import SMALL_STUDY, edited, fixed_sources, graph_of

from world_modality.evidence.effect import Levels, unknown
from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS, OTHER_BETTER, PLACEBOS, changes
from world_modality.evidence.verdict import Verdict, checklist
from world_modality.facts.memory import MODES
from world_modality.report.claims import claims_of, plan_of
from world_modality.study.graph import build_graph
from world_modality.study.load import load_study
from world_modality.study.specs import ReportCondition

STUDIES = Path(__file__).parents[2] / "workflow" / "studies"


def plan_for(folder, text=SMALL_STUDY):
    return plan_of(graph_of(folder, text).report.spec)


def of(name):
    study = load_study(STUDIES / f"{name}.yaml").study
    return plan_of(build_graph(study, fixed_sources(study)).report.spec)


def names(claims):
    return [claim.name for claim in claims]


def condition(name, trained, rolled=None, arm=None):
    against = "" if trained == "disabled" else "a"
    return ReportCondition(name=name, arm=arm or name, trained=trained, rolled=rolled or trained, against=against)


def test_the_matrix_makes_the_standard_claims_whatever_its_arms_are_called(tmp_path):
    plan = plan_for(tmp_path)
    assert plan.claims == standard_claims()
    assert (plan.seeds, plan.tasks, plan.init_states, plan.repeats) == ((0, 1), (0, 1), (30, 31, 32, 33), 1)
    other = edited(("E0: {", "plain: {"), ("E1: {", "idle: {"), ("E2: {", "memory: {"))
    claims = plan_for(tmp_path, other).claims
    assert names(claims) == ["pred > zero", "pred > random", "memory > plain", "idle = plain"]
    renamed = {"plain": "E0", "idle": "E1", "memory": "E2", "memory-zero": "E2-zero", "memory-random": "E2-random"}
    assert [(renamed[claim.treated], renamed[claim.control], claim.part) for claim in claims] == [
        (claim.treated, claim.control, claim.part) for claim in standard_claims()
    ]


def test_settings_reach_the_plan_and_its_cost_does_not(tmp_path):
    plan = plan_for(tmp_path)
    settings = "evidence: {margin: 0.02, alpha: 0.01, looks: [1, 2], noise: {rate: 0.5}}\n"
    other = plan_for(tmp_path, SMALL_STUDY + settings)
    assert {claim.margin for claim in other.claims} == {0.02}
    assert (other.levels.alpha, other.looks, other.assumptions.disagree_runs) == (0.01, (1, 2), 0.5)
    assert {name for name, *_ in changes(plan, other)} == {"claims", "looks", "levels", "assumptions"}
    assert plan_for(tmp_path, SMALL_STUDY + "evidence: {hours: {training: 3.0}}\n") == plan


def test_what_is_trained_is_part_of_the_plan(tmp_path):
    plan = plan_for(tmp_path)
    longer = plan_for(tmp_path, edited(("steps: 10\n", "steps: 20\n")))
    assert [name for name, *_ in changes(plan, longer)] == ["design"]


def test_further_arms_are_families_that_share_an_alpha():
    plan = of("camera_ablations")
    assert [names(family) for family in plan.sequences] == [
        [f"{arm} > {arm}-zero", f"{arm} > {arm}-random", f"{arm} > E0"] for arm in ("agentview", "wrist", "both")
    ]
    assert [(claim.part, claim.share) for claim in plan.sequences[0]] == [(CONTENT, 1), (CONTENT, 1), (BETTER, 1)]
    assert {(claim.part, claim.share) for family in plan.sequences[1:] for claim in family} == {("", 0.5)}
    assert len(of("fusion_ablations").sequences) == 5


def test_other_ablations_follow_the_rule_and_leave_it_alone():
    plan = of("memory_controls")
    rule = plan.sequences[0]
    assert [claim.control for claim in rule] == [
        *("pred-zero", "pred-random", "none"),
        *("pred-persistence", "pred-stale", "pred-shuffle", "pred-time_shuffle"),
    ]
    assert [bool(claim.part) for claim in rule] == [True] * 3 + [False] * 4
    assert "pred > zero" not in names(plan.claims), "which would read as a comparison of the arms pred and zero"
    assert sum(claim.kind == "equal" for claim in plan.claims) == 1
    assert len(plan.sequences) == 13


def test_without_prediction_any_memory_carries_the_rule():
    conditions = [condition("a", "disabled"), condition("b", "zero"), condition("c", "persistence")]
    assert next((claim.name, claim.part) for claim in claims_of(conditions, 0.05)) == ("c > a", OTHER_BETTER)
    trained = [*conditions, condition("d", "oracle", "pred"), condition("e", "pred")]
    first, *_, last = claims_of(trained, 0.05)
    assert first.name == "e > a"
    assert last.treated_words == "predicted memory after training with the true future as memory (d)"


def test_a_study_without_memories_asks_about_its_policies():
    conditions = [condition("a", "disabled")]
    for name, control in (("b", "a"), ("c", "b")):
        conditions.append(condition(name, "disabled").model_copy(update={"against": control}))
    claims = claims_of(conditions, 0.05)
    assert [(claim.name, claim.part, claim.share) for claim in claims] == [
        ("b > a", "b beats a", 1),
        ("c > b", "", 1),
    ]
    items = checklist(claims, [_confirmed(claim) for claim in claims])
    assert [(item.part, item.passed, item.not_asked) for item in items] == [("b beats a", True, ())]
    refuted = replace(_confirmed(claims[0]), word="hurts")
    assert [item.passed for item in checklist(claims, [refuted])] == [False]


def test_an_arm_that_is_rolled_out_on_a_memory_is_not_idle():
    conditions = [condition("a", "disabled"), condition("b", "zero", "pred"), condition("c", "zero")]
    assert [(claim.name, claim.treated_words) for claim in claims_of(conditions, 0.05)] == [("c = a", "zero memory")]


def test_a_study_of_one_arm_has_no_plan():
    assert of("embedded_base") is None


def test_tasks_of_several_suites_keep_apart(tmp_path):
    spec = graph_of(tmp_path).report.spec
    both = spec.model_copy(
        update={
            "suites": ("libero_spatial", "libero_10"),
            "cells": (*spec.cells, *(cell.model_copy(update={"suite": "libero_10"}) for cell in spec.cells)),
        }
    )
    assert plan_of(both).tasks == (0, 1, 100, 101)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_of_alpha_is_a_share(tmp_path, share):
    plan = plan_for(tmp_path)
    with pytest.raises(ValueError, match="share of alpha"):
        replace(plan, claims=(replace(plan.claims[0], share=share),))


def test_a_study_without_prediction_can_be_accepted():
    conditions = [
        *(condition("a", "disabled"), condition("b", "zero"), condition("c", "persistence")),
        *(condition("c-zero", "persistence", "zero", "c"), condition("c-random", "persistence", "random", "c")),
    ]
    claims = claims_of(conditions, 0.05)
    verdicts = [_confirmed(claim) for claim in claims]
    items = checklist(claims, verdicts)
    assert [(item.part, item.passed) for item in items] == [(CONTENT, True), (OTHER_BETTER, True), (HARMLESS, True)]
    assert checklist(claims, verdicts[1:])[0].passed is None


def _confirmed(claim):
    effect = unknown(claim.scope, "none", Levels(), 0.1, (10, 10, 3), "")
    return Verdict(claim, effect, "equivalent" if claim.kind == "equal" else "helps", "", "on its own", identical=False)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.name != "disabled"], ids=lambda mode: mode.name)
def test_every_memory_mode_has_words_of_its_row(mode):
    conditions = [
        condition("a", "disabled"),
        condition("b", "pred"),
        condition(f"b-{mode.name}", "pred", mode.name, "b"),
    ]
    told = {claim.control_words for claim in claims_of(conditions, 0.05)} | {MODES["pred"].noun}
    assert mode.noun in told


def test_the_placebos_words_are_those_of_their_rows():
    assert (MODES["zero"].noun, MODES["random"].noun) == PLACEBOS
