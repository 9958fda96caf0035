import json
from dataclasses import replace

import pytest
from support.claims import standard_claims

from world_modality.evidence.effect import Levels
from world_modality.evidence.plan import Assumptions, Plan, changes
from world_modality.evidence.resampling import canonical_json, digest_of, keyed_generator
from world_modality.store import keys

PLAN = Plan(
    "demo",
    "libero_spatial",
    standard_claims(),
    (0, 1, 2, 3, 4),
    (0, 1),
    tuple(range(50)),
    2,
    assumptions=Assumptions(run_sd=0.02),
)


def test_it_survives_json():
    assert Plan.from_json(PLAN.to_json()) == PLAN
    assert Plan.from_json(PLAN.to_json()).digest == PLAN.digest
    pretty = json.dumps(json.loads(PLAN.to_json()), indent=2)
    assert Plan.from_json(pretty) == PLAN


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": (0, 1, 2, 4, 3)},
        {"repeats": 1},
        {"looks": (3, 5)},
        {"effect": 0.04},
        {"levels": Levels(alpha=0.025)},
        {"assumptions": Assumptions(run_sd=0.03)},
        {"claims": tuple(reversed(standard_claims()))},
        {"claims": standard_claims(0.04)},
    ],
)
def test_any_change_is_a_new_plan(change):
    other = replace(PLAN, **change)
    assert other.digest != PLAN.digest
    (field,) = change
    assert changes(PLAN, other) == ((field, getattr(PLAN, field), change[field]),)


def test_the_digest_is_sixteen_hex_and_spelled_as_the_stores():
    assert len(PLAN.digest) == 16
    int(PLAN.digest, 16)
    value = {"b": (1, 2.5, None), "a": "\u00e9"}
    assert canonical_json(value) == keys.canonical_json(value)
    assert digest_of(value) == keys.digest_of(value)


def test_a_sealed_plan_keeps_its_digest():
    """A plan sealed by an earlier version must still be recognised: change this only with a new field's meaning."""
    assert PLAN.digest == "0a407c72d7378112"


def test_sequence_and_sizes():
    (rule,) = PLAN.sequences
    assert [claim.name for claim in rule] == ["pred > zero", "pred > random", "E2 > E0"]
    assert PLAN.sizes == (5,)
    assert replace(PLAN, looks=(3, 5)).sizes == (3, 5)
    assert PLAN.episodes_per_seed == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claims": ()}, "claims"),
        ({"claims": standard_claims() * 2}, "names of their own"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"tasks": ()}, "tasks"),
        ({"looks": (3, 4)}, "looks"),
        ({"looks": (4, 3, 5)}, "looks"),
        ({"repeats": 0}, "positive"),
        ({"effect": 0.0}, "positive"),
        ({"claims": standard_claims(0.0)}, "positive"),
    ],
)
def test_contradictions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAN, **change)


@pytest.mark.parametrize("text", ["[]", "{}", '{"study": "x"}', PLAN.to_json()[:-1] + ',"extra":1}', "no json"])
def test_other_files_are_not_plans(text):
    with pytest.raises(ValueError, match=r"plan|JSON|Expecting"):
        Plan.from_json(text)


def test_levels_are_shares():
    with pytest.raises(ValueError, match="alpha"):
        Levels(alpha=5)


def test_generators_depend_on_every_part():
    draws = {
        int(keyed_generator(*parts).integers(2**40)) for parts in (("a", 1), ("a", 2), ("a", "1"), (1, "a"), ("a",))
    }
    assert len(draws) == 5
