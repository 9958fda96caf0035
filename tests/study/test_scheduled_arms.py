"""Arms trained by scheduled sampling: over how many steps, and what they are rolled out with."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.errors import UserError
from world_modality.study.load import load_study

E2 = "E2: {memory: pred, ablations: [zero, random]}"
SCHEDULED = edited((E2, "E2: {memory: scheduled, ablations: [zero]}\n  E3: {memory: pred}"))


def steps_of(folder: Path, text: str) -> dict[str, object]:
    """``truth_steps`` in the keys of every arm's first training, where it is."""
    graph = graph_of(folder, text)
    worlds = {name: graph.stages[graph.names[f"train/{name}-seed0"]].address["world"] for name in ("E1", "E2", "E3")}
    return {name: world["truth_steps"] for name, world in worlds.items() if "truth_steps" in world}


def test_half_of_the_training_by_default_and_none_of_other_arms(tmp_path: Path) -> None:
    assert steps_of(tmp_path, SCHEDULED) == {"E2": 5}
    assert steps_of(tmp_path, SCHEDULED.replace("prophet_layers: 2", "truth_steps: 7, prophet_layers: 2")) == {"E2": 7}
    own = SCHEDULED.replace("memory: scheduled", "memory: scheduled, world: {truth_steps: 3}")
    assert steps_of(tmp_path, own) == {"E2": 3}


def test_no_other_training_knows_of_it(tmp_path: Path) -> None:
    plain = graph_of(tmp_path, SCHEDULED)
    told = graph_of(tmp_path, SCHEDULED.replace("prophet_layers: 2", "truth_steps: 7, prophet_layers: 2"))
    changed = {name for name in plain.names if plain.names[name] != told.names[name] and name.startswith("train/")}
    assert changed == {"train/E2-seed0", "train/E2-seed1"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (SMALL_STUDY.replace("prophet_layers: 2", "truth_steps: 7, prophet_layers: 2"), "world.truth_steps"),
        (SCHEDULED.replace("memory: zero}", "memory: zero, world: {truth_steps: 7}}"), "arms.E1.world.truth_steps"),
    ],
)
def test_steps_that_nobody_takes_are_refused(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"{where}: is for memory scheduled, which no arm here has"):
        load_study(path)


def test_it_is_rolled_out_with_its_prediction(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SCHEDULED)
    rolled = {each.name: each.rolled for each in graph.report.spec.conditions if each.arm == "E2"}
    assert rolled == {"E2": "pred", "E2-zero": "zero"}
    rollout = graph.stages[graph.names["rollouts/E2/seed0/task0"]]
    assert rollout.address["memory"] == "pred"
    assert [each.role for each in rollout.inputs] == ["checkpoint", "encoder"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ablations: [zero]", "ablations: [pred]", "'pred' is what the arm is rolled out with anyway"),
        ("ablations: [zero]", "rollout: scheduled", "no rollout knows scheduled's future; choose another mode"),
        ("ablations: [zero]", "world: {truth_steps: 0}", "truth_steps: must be greater than 0, not 0"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SCHEDULED.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_study(path)
