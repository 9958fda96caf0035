import math
from dataclasses import replace

import pytest
from support.claims import standard_claims

from world_modality.evidence.plan import Assumptions, Plan
from world_modality.evidence.planning import Costs, allocate, detectable_on_a_task, expect, last_level

PLAN = Plan(
    "demo",
    "libero_spatial",
    standard_claims(),
    tuple(range(8)),
    tuple(range(10)),
    tuple(range(50)),
    1,
    assumptions=Assumptions(run_sd=0.02),
)


def by_claim(plan):
    return {each.claim: each for each in expect(plan)}


def test_the_recipes_error_is_runs_and_luck():
    """4,000 episodes per arm: sqrt(2 (2^2 + 1e4 * 0.255 / 2 / 500) / 8) points, 14 degrees of freedom, one-sided."""
    found = by_claim(PLAN)["E2 > E0"]
    error = math.sqrt(2 * (0.02**2 + 0.255 / 2 / 500) / 8)
    assert error == pytest.approx(0.012797, abs=1e-6)
    assert found.detectable == pytest.approx(error * 2.61, abs=0.0005)  # t.95 + t.80 on 14 degrees, about 1.76 + 0.85
    assert found.power > 0.95


def test_a_detectable_effect_has_the_plans_power():
    for name, found in by_claim(PLAN).items():
        if name == "E1 = E0":
            other = replace(PLAN, claims=standard_claims(found.detectable))
            assert by_claim(other)[name].power == pytest.approx(0.8, abs=1e-4)
        else:
            assert by_claim(replace(PLAN, effect=found.detectable))[name].power == pytest.approx(0.8, abs=1e-3)


def test_memories_of_one_checkpoint_are_easier_to_tell_apart_than_recipes():
    found = by_claim(PLAN)
    assert found["pred > zero"].detectable < 0.7 * found["E2 > E0"].detectable


def test_two_seeds_cannot_detect_anything_about_the_recipe():
    found = by_claim(replace(PLAN, seeds=(0, 1)))
    assert found["E2 > E0"].power == 0.0
    assert math.isnan(found["E2 > E0"].detectable)
    assert math.isnan(detectable_on_a_task(replace(PLAN, seeds=(0, 1))))
    assert found["pred > zero"].power > 0.5


def test_a_tiny_study_cannot_find_any_difference_of_memories():
    tiny = replace(PLAN, seeds=(0,), tasks=(0,), init_states=(0, 1, 2))
    assert math.isnan(by_claim(tiny)["pred > zero"].detectable)


@pytest.mark.parametrize("looks", [(), (3, 8)])
@pytest.mark.parametrize("disagree", [0.001, 0.04])
def test_memories_that_differ_by_more_than_was_believed_disagree_by_as_much(looks, disagree):
    small = replace(PLAN, init_states=(0, 1), looks=looks, effect=0.05)
    told, least = (
        by_claim(replace(small, assumptions=Assumptions(disagree_memories=share)))["pred > zero"].power
        for share in (disagree, 0.05)
    )
    assert told == pytest.approx(least)
    assert 0.5 < told < 1


def test_looks_cost_power():
    looked = replace(PLAN, looks=(3, 5, 8), effect=0.02)
    plain, sequential = by_claim(replace(PLAN, effect=0.02)), by_claim(looked)
    assert 0.04 < last_level(looked) < 0.05 == pytest.approx(last_level(PLAN))
    for name in ("pred > zero", "E2 > E0", "E1 = E0"):
        assert sequential[name].power < plain[name].power


def test_one_task_needs_more_than_the_suite():
    assert detectable_on_a_task(PLAN) > 2 * by_claim(PLAN)["E2 > E0"].detectable


def test_the_cheapest_study_reaches_every_claim():
    costs = Costs(training=5.0, rollout=0.01)
    found = allocate(PLAN, costs)
    assert [each.hours for each in found] == sorted(each.hours for each in found)
    for each in found:
        assert all(power >= 0.8 for _, power in each.power)
        assert each.rollouts == each.seeds * 10 * each.init_states * each.repeats * 5
        assert each.hours == pytest.approx(each.seeds * 15 + each.rollouts * 0.01)
        fewer = replace(
            PLAN, seeds=tuple(range(each.seeds - 1)), init_states=tuple(range(each.init_states)), repeats=each.repeats
        )
        assert any(expected.power < 0.8 for expected in expect(fewer))


def test_dear_trainings_ask_for_more_episodes():
    many = allocate(PLAN, Costs(training=1000.0, rollout=0.001))[0]
    few = allocate(PLAN, Costs(training=0.001, rollout=0.1))[0]
    assert many.seeds < few.seeds
    assert many.init_states * many.repeats > few.init_states * few.repeats


def test_what_no_study_can_see():
    hopeless = replace(PLAN, effect=0.001, assumptions=Assumptions(run_sd=0.2))
    assert allocate(hopeless, Costs(1.0, 0.01), [(10, 1)]) == ()
