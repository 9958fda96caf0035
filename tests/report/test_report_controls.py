"""Claims follow each arm's control: the memoryless arm of its policy, another arm by name, or none."""

from __future__ import annotations

from pathlib import Path

from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.evidence.plan import Claim
from world_modality.report.claims import claims_of
from world_modality.study.specs import ReportSpec

ARMS = SMALL_STUDY[SMALL_STUDY.index("arms:") : SMALL_STUDY.index("rollouts:")]


def claims(folder: Path, arms: str) -> tuple[Claim, ...]:
    spec = graph_of(folder, edited((ARMS, "arms:\n" + arms))).report.spec
    assert isinstance(spec, ReportSpec)
    return claims_of(spec.conditions, 0.05)


def pairs(found: tuple[Claim, ...]) -> list[tuple[str, str]]:
    return [(claim.treated, claim.control) for claim in found]


def test_a_study_without_any_control_claims_something_of_ablations_alone(tmp_path: Path) -> None:
    found = claims(tmp_path, "  E2: {memory: pred, ablations: [zero, random]}\n")
    assert pairs(found) == [("E2", "E2-zero"), ("E2", "E2-random")]
    assert {claim.scope for claim in found} == {"checkpoint"}
    assert claims(tmp_path, "  E1: {memory: zero}\n  E2: {memory: pred}\n") == ()


def test_an_arm_is_claimed_to_beat_the_control_that_it_names(tmp_path: Path) -> None:
    found = claims(
        tmp_path,
        "  E0: {memory: disabled}\n  E2: {memory: pred}\n"
        "  short: {memory: pred, world: {prediction_horizon: 2}, against: E2}\n",
    )
    assert pairs(found) == [("E2", "E0"), ("short", "E2")]
    assert [claim.family for claim in found] == ["", "short"]


def test_zero_memory_is_held_to_be_harmless_only_beside_an_arm_without_memory(tmp_path: Path) -> None:
    arms = "  E0: {memory: disabled}\n  E1: {memory: zero}\n  E2: {memory: pred}\n"
    assert [claim.kind for claim in claims(tmp_path, arms)] == ["better", "equal"]
    against = arms.replace("{memory: zero}", "{memory: zero, against: E2}")
    assert [(claim.treated, claim.control, claim.kind) for claim in claims(tmp_path, against)] == [
        ("E2", "E0", "better"),
        ("E1", "E2", "better"),
    ]


def test_another_policy_makes_no_claim_unless_it_is_asked_to(tmp_path: Path) -> None:
    other = "{memory: disabled, policy: {source: folder, path: p}"
    arms = f"  E0: {{memory: disabled}}\n  E2: {{memory: pred}}\n  act: {other}}}\n"
    assert pairs(claims(tmp_path, arms)) == [("E2", "E0")]
    assert pairs(claims(tmp_path, arms.replace("path: p}}", "path: p}, against: E0}"))) == [("E2", "E0"), ("act", "E0")]
