from functools import partial

import numpy as np
import pytest
from bench import bench_calibration
from bench.bench_studies import claims_study, decisions, judged_study, looks_study, recipe_coverage
from support.claims import standard_claims
from support.simulated_studies import Design, Noise, five_arms, simulate

from world_modality.evidence.plan import Assumptions, Plan
from world_modality.evidence.planning import expect

STUDIES = 120
SMALL = Design(5, init_states=20)  # 200 scenes are enough to see a test that is off


def mean(study, *key):
    rows = [study(*key, number) for number in range(STUDIES)]
    return {name: np.mean([row[name] for row in rows]) for name in rows[0]}


def test_null_studies_are_rarely_decided_and_the_naive_test_cries_wolf():
    found = mean(partial(claims_study, SMALL, five_arms(capacity=0.06), 0.06), "null")
    for claim in ("pred > zero", "pred > random", "E2 > E0", "E1 = E0", "pred > zero, recipe"):
        assert found[claim] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES), claim
    assert found["any of the sequence"] == found["pred > zero"]


def test_the_naive_test_cries_wolf_with_repeats():
    found = mean(partial(claims_study, Design(3, init_states=25, repeats=8), five_arms(), 0.05), "naive")
    assert found["naive pooled E2 > E0"] > 0.15
    assert found["E2 > E0"] < 0.09


def test_looks_keep_their_promise():
    found = mean(partial(looks_study, (3, 5, 8)), "looks")
    assert found["E2 > E0, obrien_fleming"] < 0.09
    assert found["E2 > E0, pocock"] < 0.09
    assert found["pred > zero, betting"] < 0.09


def test_looks_find_a_gain_as_often_as_the_plan_says():
    """A gain of 8 points lies within the margin of 15 long before it is certain; that is no reason to stop."""
    noise, claims = Assumptions(disagree_memories=0.15), standard_claims(0.15)[:1]
    seeds, tasks, states = (tuple(range(n)) for n in (8, 10, 5))
    plan = Plan("looked", "small", claims, seeds, tasks, states, 1, looks=(3, 5, 8), effect=0.08, assumptions=noise)
    (planned,) = expect(plan)
    arms, studies = five_arms(0.08, 0.08), 40
    found = np.mean([judged_study(plan, arms, "judged", number)["pred > zero"] for number in range(studies)])
    assert found >= planned.power - 3 * np.sqrt(planned.power * (1 - planned.power) / studies)


def test_the_recipes_interval_covers():
    found = mean(partial(recipe_coverage, SMALL, Noise(), 0.03, False), "cover")
    assert 0.91 <= found["Welch"] <= 0.985
    assert found["seed x task blocks"] <= found["Welch"]


def test_real_effects_are_found():
    conditions = simulate(Design(8), five_arms(0.1, 0.1), Noise(), np.random.default_rng(0)).conditions
    found = decisions(conditions, 0.05)
    assert found["pred > zero"]
    assert found["pred > random"]
    assert found["E2 > E0"]
    assert found["E1 = E0"]


@pytest.mark.slow
def test_the_benchmark_prints_every_table(capsys):
    bench_calibration.main(["--studies", "4", "--processes", "1"])
    told = capsys.readouterr().out
    for part in ("1,000,000 records", "False positives", "naive pooled", "Power", "planned", "Coverage", "mixed model"):
        assert part in told
