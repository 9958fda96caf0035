import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support.claims import standard_claims
from support.outcome_grids import grid
from support.simulated_studies import Design, Noise, five_arms, simulate

from world_modality.evidence import gates
from world_modality.evidence.contrast import watched_contrast
from world_modality.evidence.effect import Levels
from world_modality.evidence.gates import GIVEN, Gate
from world_modality.evidence.judge import judge as judge_study
from world_modality.evidence.plan import BETTER, CONTENT, HARMLESS, Plan
from world_modality.evidence.rates import Interval
from world_modality.evidence.verdict import word_for
from world_modality.evidence.wording import headline, points, sentence

PASSED = tuple(Gate(name, True, "") for name in GIVEN)
TASKS, STATES = 10, 50


def plan_for(seeds, looks=(), margin=0.05, repeats=1):
    return Plan(
        "demo",
        "libero_spatial",
        standard_claims(margin),
        tuple(range(seeds)),
        tuple(range(TASKS)),
        tuple(range(STATES)),
        repeats,
        looks=looks,
    )


def study(seeds, recipe=0.0, content=0.0, capacity=0.0, key=0, repeats=1):
    arms = five_arms(recipe, content, capacity)
    conditions = dict(simulate(Design(seeds, repeats=repeats), arms, Noise(), np.random.default_rng(key)).conditions)
    if not capacity:
        conditions["E1"] = conditions["E0"]  # zero memory trains to the same weights
    return conditions


def judge(plan, conditions, gates, alike=frozenset({("E1", "E0")})):
    """Zero memory is proven to have taken E0's trajectory, unless said otherwise."""
    return judge_study(plan, conditions, gates, alike)


def words(judgement):
    return {verdict.claim.name: verdict.word for verdict in judgement.verdicts if verdict.primary}


def test_a_study_in_which_it_helps():
    found = judge(plan_for(8), study(8, recipe=0.08, content=0.06), PASSED)
    assert words(found) == {
        "pred > zero": "helps",
        "pred > random": "helps",
        "E2 > E0": "helps",
        "E1 = E0": "equivalent",
    }
    assert found.accepted is True
    assert [(item.part, item.passed) for item in found.items] == [(CONTENT, True), (BETTER, True), (HARMLESS, True)]
    assert [found.of(name, scope).step for name, scope in (("pred > zero", "checkpoint"), ("E2 > E0", "recipe"))] == [
        "confirmed"
    ] * 2
    assert found.of("E1 = E0", "recipe").step == "on its own"
    assert found.of("E1 = E0", "recipe").identical


def test_equal_outcomes_are_no_identity_unless_the_trajectories_are_proven_alike():
    conditions = study(1)
    alike, other = judge(plan_for(1), conditions, PASSED), judge_study(plan_for(1), conditions, PASSED)
    assert words(alike)["E1 = E0"] == "equivalent"
    assert words(other)["E1 = E0"] == "cannot tell"
    assert not other.of("E1 = E0", "recipe").identical
    swapped = judge(plan_for(1), conditions, PASSED, frozenset({("E0", "E1")}))
    assert not swapped.of("E1 = E0", "recipe").identical


def test_a_study_in_which_it_hurts():
    found = judge(plan_for(8), study(8, recipe=-0.10, content=-0.06), PASSED)
    assert words(found)["E2 > E0"] == "hurts"
    assert found.of("E2 > E0", "recipe").step == "not tested"
    assert found.accepted is False


def test_a_study_in_which_nothing_happens_is_equivalent_or_open():
    found = judge(plan_for(8), study(8, key=3), PASSED)
    assert words(found)["pred > zero"] == "equivalent"
    assert found.accepted is False, "a memory whose content does nothing refutes the hypothesis"
    wide = judge(plan_for(3, margin=0.001), study(3, key=3), PASSED)
    assert words(wide)["pred > zero"] == "cannot tell"
    assert wide.accepted is None


def test_a_gain_is_not_claimed_before_its_gate():
    found = judge(plan_for(8), study(8, recipe=0.10, content=0.0, key=1), PASSED)
    verdict = found.of("E2 > E0", "recipe")
    assert verdict.effect.p_greater < 0.001
    assert verdict.word == "cannot tell"
    assert verdict.step == "not tested"
    assert verdict.reason == "the plan tests this only after pred > zero is confirmed, and it was not"


def test_that_there_is_no_gain_is_not_claimed_before_its_gate():
    found = judge(plan_for(8, margin=0.1), study(8, key=3), PASSED)
    assert words(found) == {
        "pred > zero": "equivalent",
        "pred > random": "cannot tell",
        "E2 > E0": "cannot tell",
        "E1 = E0": "equivalent",
    }
    for name, scope in (("pred > random", "checkpoint"), ("E2 > E0", "recipe")):
        verdict = found.of(name, scope)
        assert -0.1 < verdict.effect.bounds.low < verdict.effect.bounds.high < 0.1
        assert verdict.reason == "the plan tests this only after pred > zero is confirmed, and it was not"
    assert [(item.part, item.passed) for item in found.items] == [(CONTENT, False), (BETTER, None), (HARMLESS, True)]


def test_a_rule_that_was_asked_in_part_is_not_accepted():
    plan, conditions = plan_for(8), study(8, recipe=0.08, content=0.06)
    for names, asked in (
        (["E1 = E0"], {HARMLESS: True, BETTER: None, CONTENT: None}),
        (["pred > zero", "E2 > E0", "E1 = E0"], {HARMLESS: True, BETTER: True, CONTENT: None}),
        (["pred > random", "E2 > E0", "E1 = E0"], {HARMLESS: True, BETTER: True, CONTENT: None}),
        (["pred > zero", "pred > random", "E2 > E0"], {HARMLESS: None, BETTER: True, CONTENT: True}),
    ):
        own = replace(plan, claims=tuple(claim for claim in plan.claims if claim.name in names))
        found = judge(own, conditions, PASSED)
        assert {item.part: item.passed for item in found.items} == asked
        assert found.accepted is None
        for item in found.items:
            assert (item.passed is None) == bool(item.not_asked)
            assert all(f"not asked: {need}" in item.detail for need in item.not_asked)


def test_what_was_asked_refutes_the_rule_without_the_rest():
    plan = plan_for(8)
    found = judge(replace(plan, claims=plan.claims[:1]), study(8, key=3), PASSED)
    assert [(item.part, item.passed) for item in found.items] == [(CONTENT, False), (BETTER, None), (HARMLESS, None)]
    assert found.items[0].detail == "pred > zero: equivalent; not asked: a comparison with random memory"
    assert found.accepted is False


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_speak_about_checkpoints_only(seeds):
    found = judge(plan_for(seeds), study(seeds, recipe=0.15, content=0.12), PASSED)
    assert words(found)["pred > zero"] == "helps"
    recipe = found.of("E2 > E0", "recipe")
    assert recipe.word == "cannot tell"
    assert recipe.reason == f"{seeds} seed{'s' * (seeds > 1)}, at least 3 needed"
    assert found.of("E2 > E0", "checkpoint").word == "helps"
    assert not found.of("E2 > E0", "checkpoint").primary
    assert found.accepted is None


@pytest.mark.parametrize("name", GIVEN)
def test_a_failed_gate_withholds_every_verdict(name):
    answers = [Gate(each, each != name, "2 differ") for each in GIVEN]
    found = judge(plan_for(3), study(3, recipe=0.14, content=0.14), answers)
    assert found.withheld == f"{name}: 2 differ"
    assert set(words(found).values()) == {"cannot tell"}
    assert all(verdict.reason == f"no verdict: {name}: 2 differ" for verdict in found.verdicts)
    assert found.of("pred > zero", "checkpoint").effect.estimate > 0.08, "numbers are reported all the same"
    assert found.accepted is None


def test_an_unanswered_gate_is_a_failed_one():
    found = judge(plan_for(3), study(3), PASSED[1:])
    assert found.withheld == f"{gates.PROMPTS}: not checked"


def test_a_gate_that_does_not_apply_withholds_nothing():
    answers = (Gate(gates.SEALED, None, "exploratory"), *(gate for gate in PASSED if gate.name != gates.SEALED))
    assert judge(plan_for(3), study(3), answers).withheld == ""


def test_further_gates_count_too():
    found = judge(plan_for(3), study(3), (*PASSED, Gate("one kind of device", False, "cpu and cuda")))
    assert found.withheld == "one kind of device: cpu and cuda"
    with pytest.raises(ValueError, match="answered twice"):
        judge(plan_for(3), study(3), (*PASSED, PASSED[0]))


def test_a_baseline_that_never_succeeds_decides_nothing():
    conditions = study(3)
    conditions["E0"] = replace(conditions["E0"], success=np.zeros(len(conditions["E0"]), dtype=bool))
    conditions["E1"] = conditions["E0"]
    found = judge(plan_for(3), conditions, PASSED)
    assert found.withheld == f"{gates.ALIVE}: 0 of 1500 episodes of E0 succeed"


def test_a_partial_study_shows_effects_without_a_verdict():
    conditions = study(3, content=0.2)
    conditions["E2-zero"] = conditions["E2-zero"].where(conditions["E2-zero"].task < 4)
    del conditions["E2-random"]
    found = judge(plan_for(3), conditions, PASSED)
    assert found.withheld == f"{gates.EPISODES}: no outcomes of E2-random"
    verdict = found.of("pred > zero", "checkpoint")
    assert verdict.effect.episodes == 3 * 4 * 50
    assert verdict.word == "cannot tell"
    with pytest.raises(KeyError, match="pred > random"):
        found.of("pred > random", "checkpoint")
    none = judge(
        plan_for(3), {name: outcomes.where(outcomes.task > 90) for name, outcomes in conditions.items()}, PASSED
    )
    assert none.verdicts == ()
    assert none.accepted is None


def test_episodes_beyond_the_plan_do_not_count():
    small, conditions = plan_for(3), study(5, repeats=2)
    only = {name: outcomes.where((outcomes.seed < 3) & (outcomes.repeat < 1)) for name, outcomes in conditions.items()}
    assert judge(small, conditions, PASSED).verdicts == judge(small, only, PASSED).verdicts


def test_an_unfinished_look_waits():
    conditions = study(5)
    short = {
        name: outcomes.where(~((outcomes.seed == 4) & (outcomes.task == 9))) for name, outcomes in conditions.items()
    }
    looked = judge(plan_for(5, looks=(3, 5)), short, PASSED)
    assert looked.withheld == ""
    assert looked.seeds == 3
    whole = judge(plan_for(5), short, PASSED)
    assert "needs 5 complete seeds" in whole.withheld


def test_an_early_look_decides_and_later_ones_do_not_take_it_back():
    plan, conditions = plan_for(8, looks=(3, 5, 8)), study(8, recipe=0.16, content=0.12)
    first = judge(plan, {name: outcomes.of_seeds(range(3)) for name, outcomes in conditions.items()}, PASSED)
    assert first.seeds == 3
    last = judge(plan, conditions, PASSED)
    for name in ("pred > zero", "pred > random"):
        assert first.of(name, "checkpoint").word == "helps"
        assert last.of(name, "checkpoint") == first.of(name, "checkpoint")
        assert first.of(name, "checkpoint").effect.method == "betting over scenes"
    early, late = first.of("E2 > E0", "recipe"), last.of("E2 > E0", "recipe")
    assert early.effect.levels.alpha < 0.002, "O'Brien-Fleming spends next to nothing on three of eight seeds"
    assert late.word == "helps"
    assert late.effect.seeds > 3


@pytest.mark.parametrize(("looks", "share"), [((3, 20), 1.0), ((3, 8, 16), 1.0), ((3, 5, 8), 0.1)])
def test_a_first_look_that_spends_next_to_nothing_is_judged(looks, share):
    arms, design = five_arms(0.05, 0.05), Design(looks[-1], 4, task_rates=(0.7, 0.9))
    conditions = simulate(design, arms, Noise(0.04, 0.05), np.random.default_rng(0)).conditions
    claims = tuple(replace(claim, share=share) for claim in standard_claims())
    plan = Plan("demo", "small", claims, tuple(range(looks[-1])), (0, 1), (0, 1, 2, 3), 1, looks=looks)
    first = judge(plan, {name: outcomes.of_seeds(range(3)) for name, outcomes in conditions.items()}, PASSED)
    effect = first.of("E2 > E0", "recipe").effect
    assert (first.withheld, effect.seeds, effect.problem) == ("", 3, "")
    assert effect.detectable > 1
    assert "could find no difference, however large" in sentence(first.of("E2 > E0", "recipe"))


def test_an_early_equivalence_stands_for_a_claim_of_equality_alone():
    plan, conditions = plan_for(8, looks=(3, 5, 8), margin=0.1), study(8, content=0.035, key=2)
    conditions["E1"] = replace(conditions["E0"], success=conditions["E0"].success & (conditions["E0"].seed < 3))
    early = judge(plan, {name: outcomes.of_seeds(range(3)) for name, outcomes in conditions.items()}, PASSED)
    late = judge(plan, conditions, PASSED)
    assert words(early)["pred > zero"] == words(early)["E1 = E0"] == "equivalent"
    assert (words(late)["pred > zero"], words(late)["E1 = E0"]) == ("helps", "equivalent")


def test_a_later_look_continues_the_earlier_ones_bets():
    """Seeds enter as they were trained: one with a lower number that came later must not be bet on first."""
    conditions, levels = study(3, content=0.01, key=4), Levels()
    first = [watched_contrast(*arms, seeds, levels, "key") for arms, seeds in nested(conditions)]
    assert all(later.p_greater <= earlier.p_greater for earlier, later in pairwise(first))
    assert all(later.interval.low >= earlier.interval.low for earlier, later in pairwise(first))


@pytest.mark.parametrize("seeds", [1, 3])
def test_memories_that_never_disagreed_may_still_differ(seeds):
    conditions = study(seeds)
    effect = watched_contrast(conditions["E2"], conditions["E2"], range(seeds), Levels(), "key")
    assert effect.estimate == 0
    half = (effect.interval.high - effect.interval.low) / 2
    assert 0.001 < half < effect.detectable < 2 * half


def nested(conditions):
    """E2 and E2-zero after each of the seeds 2, 1, 0."""
    for n in (1, 2, 3):
        seeds = (2, 1, 0)[:n]
        yield (conditions["E2"].of_seeds(seeds), conditions["E2-zero"].of_seeds(seeds)), seeds


def test_equal_outcomes_prove_nothing_about_a_gain():
    """In a small study two memories may agree in every episode by luck; only a claim of equality is met by that."""
    success = np.tile(np.arange(12).reshape(1, 3, 4, 1) % 2 == 0, (1, 1, 1, 1))
    plan = Plan("demo", "small", standard_claims(), (0,), (0, 1, 2), (0, 1, 2, 3), 1)
    found = judge(plan, {name: grid(success) for name in ("E0", "E1", "E2", "E2-zero", "E2-random")}, PASSED)
    assert words(found)["pred > zero"] == "cannot tell"
    assert words(found)["E1 = E0"] == "equivalent"
    assert "equals" not in sentence(found.of("pred > zero", "checkpoint"))


def test_the_judgement_is_reproducible():
    plan, conditions = plan_for(3), study(3, content=0.02)
    assert judge(plan, conditions, PASSED).verdicts == judge(plan, conditions, PASSED).verdicts


def test_sentences_say_what_how_sure_and_about_what():
    found = judge(plan_for(8), study(8, recipe=0.08, content=0.06), PASSED)
    told = sentence(found.of("E2 > E0", "recipe"))
    assert re.match(
        r"Helps: across trainings, predicted memory raised success by \d+\.\d points against no memory \(", told
    )
    for part in (
        "95% interval +",
        "(E2 - E0, ",
        "8 seeds",
        "4,000 episodes per condition on 500 scenes",
        "could find ",
    ):
        assert part in told
    assert "in these 8 checkpoints" in sentence(found.of("pred > zero", "checkpoint"))
    assert "E1 equals E0 exactly: the same trajectory in every episode (8 seeds, 4,000 episodes" in sentence(
        found.of("E1 = E0", "recipe")
    )
    assert "for these 8 checkpoints of each arm" in sentence(found.of("E2 > E0", "checkpoint"))


def test_the_headline_names_suite_and_plan_and_never_a_trend():
    plan = plan_for(8)
    for key in range(3):
        found = judge(plan, study(8, recipe=0.03 * key, content=0.02 * key, key=key), PASSED)
        told = headline(found)
        assert told.startswith("libero_spatial: ")
        assert told.endswith(f"Plan sealed before the first rollout: {plan.digest}.")
        assert told.index("E2 - E0") < told.index("E2 - E2-zero")
        assert "trend" not in told
    closed = headline(judge(plan, {}, PASSED))
    assert (
        "no verdict, since this does not hold: every condition holds the planned episodes: no outcomes of E0" in closed
    )


@pytest.mark.parametrize(("sign", "word", "told"), [(1, "helps", "at least +0.2"), (-1, "hurts", "at most -0.2")])
def test_a_one_sided_decision_is_said_to_be_one(sign, word, told):
    """The two-sided interval holds 0 although the one-sided test rejects."""
    verdict = judge(plan_for(3), study(3), PASSED).of("pred > zero", "checkpoint")
    limits = [sorted([sign * -0.001, sign * 0.041]), sorted([sign * 0.002, sign * 0.038])]
    interval, bounds = (Interval(sign * 0.02, *pair) for pair in limits)
    p_values = {"p_greater": 0.04, "p_less": 0.96} if sign > 0 else {"p_greater": 0.96, "p_less": 0.04}
    effect = replace(verdict.effect, interval=interval, bounds=bounds, **p_values)
    claim = replace(verdict.claim, margin=0.01)
    assert word_for(effect, claim, identical=False) == (word, "")
    assert f"decided one-sided: {told}" in sentence(replace(verdict, effect=effect, claim=claim, word=word, reason=""))
    clear = replace(effect, interval=bounds)
    assert "one-sided" not in sentence(replace(verdict, effect=clear, claim=claim, word=word, reason=""))


def test_points_have_no_negative_zero():
    assert points(-0.0001, signed=True) == "0.0"
    assert points(0.031, signed=True) == "+3.1"
    assert points(-0.031) == "-3.1"
