"""Memories that are looked up among the training episodes: what carries these, and what their rollouts read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, fixed_sources, graph_of

from world_modality.cli.given import described, given_problems
from world_modality.study.graph import Graph
from world_modality.study.load import load_study
from world_modality.study.sources import PolicySource

ABLATED = edited(("ablations: [zero, random]", "ablations: [zero, nearest_other]"))
TRAINED = edited(("E2: {memory: pred, ablations: [zero, random]}", "E2: {memory: nearest_other, ablations: [zero]}"))
GIVEN = """\
study: given
suite: libero_spatial
tasks: [0]
simulator: {assets: package}
arms:
  E2: {checkpoint: {source: folder, path: /data/E2}, ablations: [nearest_other]}
rollouts: {init_states: 0-9, episodes: 10}
"""


def roles(graph: Graph, name: str) -> list[str]:
    return [each.role for each in graph.stages[graph.names[name]].inputs]


def test_an_ablation_reads_what_its_checkpoint_was_trained_on_and_trains_nothing_anew(tmp_path: Path) -> None:
    plain, graph = graph_of(tmp_path, SMALL_STUDY), graph_of(tmp_path, ABLATED)
    found = graph.stages[graph.names["rollouts/E2-nearest_other/seed0/task0"]]
    assert [each.role for each in found.inputs] == ["checkpoint", "encoder", "dataset", "latents_image"]
    trained = {each.role: each.key for each in graph.stages[graph.names["train/E2-seed0"]].inputs}
    assert {each.role: each.key for each in found.inputs[1:]} == {
        role: trained[role] for role in ("encoder", "dataset", "latents_image")
    }
    same = {name for name in plain.names if name.startswith(("train/", "rollouts/E0", "rollouts/E1", "rollouts/E2/"))}
    assert {name: graph.names[name] for name in same} == {name: plain.names[name] for name in same}


def test_a_checkpoint_that_was_trained_with_it_brings_it_along(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, TRAINED)
    assert roles(graph, "rollouts/E2/seed0/task0") == ["checkpoint", "encoder"]
    assert roles(graph, "rollouts/E2-zero/seed0/task0") == ["checkpoint"]


@pytest.mark.parametrize("carries", [False, True])
def test_a_given_checkpoint_without_it_is_refused_at_planning(tmp_path: Path, carries: bool) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GIVEN)
    study = load_study(path).study
    known = described(PolicySource("smolvla", "E2"), {"n_action_steps": 1, "world_bank_frames": 30 if carries else 0})
    given = replace(fixed_sources(study).checkpoints["E2"][0], bank=known.bank)
    found = list(given_problems(study, {"E2": (given,)}))
    message = "it does not carry the latents of its training episodes, among which memory nearest_other is looked up"
    assert [(at, told.partition(";")[0]) for at, told in found] == (
        [] if carries else [(("arms", "E2", "checkpoint"), message)]
    )
