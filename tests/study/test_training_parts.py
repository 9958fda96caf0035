"""Checkpoints of several steps of a training: what is planned for them, compared with what, and what is found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.errors import UserError
from world_modality.report.claims import plan_of
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.specs import BEFORE, ReportSpec

CONSTANT = "steps: 10\n  decay_steps: 4"
"""From step 4 on, the learning rate stays what it is."""


def study(*edits: tuple[str, str]) -> str:
    return edited(*edits, text=SMALL_STUDY)


def with_checkpoints(steps: str, training: str = "steps: 10") -> str:
    return study(("steps: 10", f"{training}\n  checkpoints: {steps}"))


def chain(graph: Graph, name: str) -> list[StageRequest]:
    """A training's parts, first to last, by the name of its last."""
    parts = [graph.stages[graph.names[name]]]
    while before := [each.key for each in parts[0].inputs if each.role == BEFORE]:
        parts.insert(0, graph.stages[before[0]])
    return parts


def test_each_part_goes_on_from_the_one_before_and_is_rolled_out(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, with_checkpoints("[3, 6]"))
    parts = chain(graph, "train/E2-seed1")
    assert [(part.address["stop"], part.address["optim"]["steps"]) for part in parts] == [(3, 10), (6, 10), (0, 10)]
    assert [part.label for part in parts] == ["train E2/1 step 3", "train E2/1 step 6", "train E2/1"]
    checkpoints = {each.key for request in graph.of("rollout") for each in request.inputs if each.role == "checkpoint"}
    assert checkpoints == {request.key for request in graph.of("train")}
    assert {each.key for each in graph.report.inputs if each.role == "train"} < checkpoints


def test_an_early_checkpoint_is_compared_with_its_control_of_the_same_step_and_decides_nothing(tmp_path: Path) -> None:
    spec = graph_of(tmp_path, with_checkpoints("[3]")).report.spec
    assert isinstance(spec, ReportSpec)
    assert {each.name: (each.against, each.step) for each in spec.conditions} == {
        "E0": ("", 0), "E1": ("E0", 0), "E2": ("E0", 0), "E2-zero": ("E2", 0), "E2-random": ("E2", 0),
        "E0-step3": ("", 3), "E1-step3": ("E0-step3", 3), "E2-step3": ("E0-step3", 3),
    }  # fmt: skip
    plain = graph_of(tmp_path, SMALL_STUDY).report.spec
    assert isinstance(plain, ReportSpec)
    one, other = plan_of(spec), plan_of(plain)
    assert one is not None
    assert other is not None
    assert one.claims == other.claims


@pytest.mark.parametrize(
    ("training", "found"),
    [
        (CONSTANT, True),
        ("steps: 10", False),  # its learning rate decays over all of the steps
        ("steps: 10\n  decay_steps: 15", False),  # LeRobot shortens the decay to the training
    ],
)
def test_a_training_made_longer_finds_the_sealed_one_where_its_schedule_allows_it(
    tmp_path: Path, training: str, found: bool
) -> None:
    sealed = graph_of(tmp_path, study(("steps: 10", training)))
    longer = training.replace("steps: 10", "steps: 20")
    graph = graph_of(tmp_path, with_checkpoints("[10]", longer))
    first, last = chain(graph, "train/E2-seed0")
    assert (first.key == sealed.names["train/E2-seed0"]) == found
    assert last.address["optim"]["steps"] == 20
    assert (first.address["stop"] == 0) == found
    rolled_out = {request.key for request in sealed.of("rollout") if "-" not in request.label}
    assert (rolled_out <= graph.stages.keys()) == found


def test_all_parts_are_found_again_where_the_learning_rate_comes_to_rest(tmp_path: Path) -> None:
    sealed = graph_of(tmp_path, with_checkpoints("[3]", CONSTANT))
    graph = graph_of(tmp_path, with_checkpoints("[3, 10]", CONSTANT.replace("steps: 10", "steps: 20")))
    parts = chain(graph, "train/E2-seed0")
    assert [part.key for part in parts[:2]] == [part.key for part in chain(sealed, "train/E2-seed0")]
    assert [(part.address["stop"], part.address["optim"]["steps"]) for part in parts] == [(3, 4), (0, 10), (0, 20)]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("[3, 3]", r"training.checkpoints\[0\]: 3 is no step that ascends to the next one \(3\); leave it out"),
        ("[3, 10]", r"training.checkpoints\[1\]: 10 is no step that comes before the last step \(10\); leave it out"),
        ("[0]", r"training.checkpoints\[0\]: must be greater than 0, not 0"),
    ],
)
def test_steps_that_make_no_sense_are_refused(tmp_path: Path, steps: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        graph_of(tmp_path, with_checkpoints(steps))
