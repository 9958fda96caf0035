"""Memories that look ahead: ablations of what was trained otherwise, where simulator and expert allow it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.rows import add_row
from support.small_study import edited, graph_of

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.report.claims import claims_of
from world_modality.study.specs import ReportSpec

AHEAD = ("ablations: [zero, random]", "ablations: [oracle_policy, zero, oracle_expert, stale]")


def test_they_are_rollouts_that_read_the_encoder_and_nothing_is_trained_for_them(tmp_path: Path) -> None:
    plain, graph = graph_of(tmp_path), graph_of(tmp_path, edited(AHEAD))
    for mode in ("oracle_policy", "oracle_expert"):
        request = graph.stages[graph.names[f"rollouts/E2-{mode}/seed0/task0"]]
        assert [each.role for each in request.inputs] == ["checkpoint", "encoder"]
    trained = [{key for key, request in each.stages.items() if request.stage == "train"} for each in (plain, graph)]
    assert trained[0] == trained[1]
    shared = "rollouts/E2-zero/seed0/task0"
    assert plain.names[shared] == graph.names[shared]


def test_no_claim_of_content_waits_for_them(tmp_path: Path) -> None:
    spec = graph_of(tmp_path, edited(AHEAD)).report.spec
    assert isinstance(spec, ReportSpec)
    found = [claim.control for claim in claims_of(spec.conditions, 0.05) if claim.treated == "E2"]
    assert found == ["E2-zero", "E0", "E2-stale", "E2-oracle_policy", "E2-oracle_expert"]


@pytest.mark.parametrize(
    ("mode", "lacking", "why"),
    [
        ("oracle_policy", {"restorable": False}, "looks ahead from every query, and libero_spatial's simulator cannot"),
        ("oracle_expert", {"restorable": False}, "looks ahead from every query, and libero_spatial's simulator cannot"),
        ("oracle_expert", {"expert": None}, "looks ahead with a scripted expert, and libero_spatial has none; choose"),
    ],
)
def test_a_suite_that_cannot_is_refused_at_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, lacking: dict[str, object], why: str
) -> None:
    hub = ("  source: scripted\n", f"  source: hub\n  repo_id: a/b\n  revision: {'a' * 40}\n")
    made = ("  demonstrations: {per_task: 2, init_states: 0-9}\n  relabel: {per_task: 1, init_states: 0-9}\n", "")
    add_row(SUITES, replace(SUITES["libero_spatial"], **lacking), monkeypatch)  # type: ignore[arg-type]
    text = edited(hub, made, ("ablations: [zero, random]", f"ablations: [{mode}]"))
    with pytest.raises(UserError, match=rf"arms\.E2\.ablations\[0\]: memory '{mode}' {why}") as caught:
        graph_of(tmp_path, text)
    assert "\n" not in str(caught.value)
