"""Plans that stop early: what they hold, which episodes count, and when they are decided."""

from dataclasses import replace

import numpy as np
import pytest
from support.claims import standard_claims
from support.outcome_grids import grid

from world_modality.evidence.gates import EPISODES, GIVEN, Gate
from world_modality.evidence.judge import judge
from world_modality.evidence.plan import Plan
from world_modality.evidence.planning import Costs, allocate, expect, expect_stops
from world_modality.evidence.sequential import complete_looks, look_numbers, of_looks
from world_modality.evidence.stopping import standing
from world_modality.evidence.wording import sentence

TASKS, STATES, PER_LOOK = 4, 20, 6
ORDER = tuple(tuple(int(state) for state in np.random.default_rng(task).permutation(STATES)) for task in range(TASKS))
CLAIMS = tuple(replace(claim, scope="checkpoint") for claim in standard_claims())
PLAN = Plan(
    "demo",
    "libero_spatial",
    CLAIMS,
    (0,),
    tuple(range(TASKS)),
    tuple(range(STATES)),
    1,
    stop_early=PER_LOOK,
    order=ORDER,
)
PASSED = tuple(Gate(name, True, "") for name in GIVEN)
NAMES = ("E0", "E1", "E2", "E2-zero", "E2-random")


def conditions(**rates):
    """Every condition's outcomes: a share of successes, the same scenes in all arms as far as shares allow."""
    luck = np.random.default_rng(0).random((1, TASKS, STATES, 1))
    return {name: grid(luck < rates.get(name.replace("-", "_"), 0.4)) for name in NAMES}


def only(outcomes, looks, extra=0):
    """The outcomes of the first looks, and the first ``extra`` episodes of what is left."""
    numbers = look_numbers(PLAN, outcomes)
    later = np.flatnonzero(numbers >= looks)[:extra]
    return outcomes.where((numbers < looks) | np.isin(np.arange(len(outcomes)), later))


def words(found):
    return {verdict.claim.name: verdict.word for verdict in found.verdicts if verdict.primary}


def test_looks_cut_the_scenes_and_the_last_is_smaller():
    assert PLAN.look_sizes == (24, 24, 24, 8)
    assert PLAN.number_of_looks == 4
    whole = conditions()["E0"]
    counts = np.bincount(look_numbers(PLAN, whole))
    assert counts.tolist() == [24, 24, 24, 8]
    for look in range(4):
        own = whole.where(look_numbers(PLAN, whole) == look)
        assert set(np.bincount(own.task)) == {counts[look] // TASKS}, "as many scenes of each task"


def test_it_survives_json_and_other_plans_do_not_tell_of_it():
    assert Plan.from_json(PLAN.to_json()) == PLAN
    plain = replace(PLAN, stop_early=0, order=())
    assert "stop_early" not in plain.to_json()
    assert Plan.from_json(plain.to_json()) == plain
    other = replace(PLAN, order=(ORDER[0][::-1], *ORDER[1:]))
    assert len({plan.digest for plan in (PLAN, plain, other)}) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claims": standard_claims()}, "only claims about checkpoints"),
        ({"looks": (1,)}, "only claims about checkpoints"),
        ({"order": ORDER[:-1]}, "every initial state"),
        ({"order": (ORDER[0][1:], *ORDER[1:])}, "every initial state"),
        ({"stop_early": 0}, "belongs to a plan"),
    ],
)
def test_what_contradicts_itself_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAN, **change)


def test_only_whole_looks_of_every_condition_count():
    held = conditions(E2=0.9)
    assert complete_looks(PLAN, held) == 4
    cut = {name: only(outcomes, 2, extra=5) for name, outcomes in held.items()}
    assert complete_looks(PLAN, cut) == 2
    second = np.flatnonzero(look_numbers(PLAN, cut["E2-zero"]) == 1)[0]
    cut["E2-zero"] = cut["E2-zero"].where(np.arange(len(cut["E2-zero"])) != second)
    assert complete_looks(PLAN, cut) == 1
    assert len(of_looks(PLAN, held["E0"], 1)) == 24


def test_episodes_beyond_the_last_whole_look_change_no_verdict():
    held = conditions(E2=0.9, E2_zero=0.1)
    few = {name: only(outcomes, 2) for name, outcomes in held.items()}
    more = {name: only(outcomes, 2, extra=11) for name, outcomes in held.items()}
    one, two = judge(PLAN, few, PASSED), judge(PLAN, more, PASSED)
    assert repr(one.verdicts) == repr(two.verdicts)
    assert one.looks == 2
    gate = next(each for each in one.gates if each.name == EPISODES)
    assert (gate.passed, gate.detail) == (True, "48 in each of 5 conditions, look 2 of 4")


def test_before_the_first_look_there_is_no_verdict():
    held = {name: only(outcomes, 0, extra=20) for name, outcomes in conditions().items()}
    found = judge(PLAN, held, PASSED)
    assert "the first look needs its scenes" in found.withheld
    assert not standing(PLAN, held).decided
    assert standing(PLAN, {}).looks == 0


def test_a_rule_is_decided_claim_by_claim_and_a_verdict_says_so():
    held = conditions(E2=0.9, E2_zero=0.1, E2_random=0.1, E0=0.1, E1=0.1)
    first = {name: only(outcomes, 1) for name, outcomes in held.items()}
    state = standing(PLAN, first)
    assert state.decided
    assert dict(state.claims) == {"pred > zero": "helps", "pred > random": "helps", "E2 > E0": "helps"}
    found = judge(PLAN, first, PASSED)
    assert {name: word for name, word in words(found).items() if name != "E1 = E0"} == dict(state.claims)
    assert "24 episodes per condition on 24 scenes" in sentence(found.of("E2 > E0", "checkpoint"))
    assert state.told().startswith("look 1 of 4, 24 of 80 scenes; pred > zero: helps")


def test_what_is_not_confirmed_ends_the_sequence():
    hurt = conditions(E2=0.1, E2_zero=0.9, E2_random=0.1)
    assert standing(PLAN, hurt).claims == (("pred > zero", "hurts"),)
    assert standing(PLAN, hurt).decided
    undecided = standing(PLAN, conditions(E2=0.45, E2_zero=0.40))
    assert undecided.claims == (("pred > zero", "open"),)
    assert not undecided.decided


def test_nothing_is_decided_while_the_baseline_never_succeeded():
    held = conditions(E2=0.9, E2_zero=0.0, E2_random=0.0, E0=0.0, E1=0.0)
    assert not standing(PLAN, held).decided
    assert "the baseline succeeds" in judge(PLAN, held, PASSED).withheld


def test_a_gain_that_is_ruled_out_stops_the_study_and_is_told():
    plan = replace(PLAN, effect=0.3)
    state = standing(plan, conditions())  # all arms take the same course
    assert state.claims == (("pred > zero", "no gain of 30.0 points"),)
    assert state.decided
    verdict = judge(plan, conditions(), PASSED).of("pred > zero", "checkpoint")
    assert (verdict.word, "is ruled out" in verdict.reason) == ("cannot tell", True)


def test_the_plan_foretells_power_and_stops():
    plan = replace(PLAN, effect=0.3)
    found = {each.claim: each for each in expect(plan)}
    assert 0.5 < found["pred > zero"].power <= 1
    stops = expect_stops(plan)
    assert [each.effect for each in stops] == pytest.approx([0, 0.3, 0.6, 0.9])
    assert stops[3].scenes <= stops[2].scenes <= stops[1].scenes
    assert stops[0].helps <= 0.05
    assert stops[1].helps == pytest.approx(found["pred > zero"].power, abs=0.06)
    assert expect_stops(replace(plan, stop_early=0, order=())) == ()
    cheapest = allocate(plan, Costs(0.0, 0.01, trainings=0), [(10, 1), (20, 1)])
    assert {each.seeds for each in cheapest} <= {1}
