"""`wm study init`: a study of given checkpoints is written from what they say of themselves, and can be planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from typer.testing import CliRunner

from world_modality.cli.main import app
from world_modality.cli.planning import plan_study
from world_modality.cli.study_init import Scope, arm_names, init_lines
from world_modality.errors import UserError

PICTURE = {"type": "VISUAL", "shape": [3, 256, 256]}
ENCODER = {
    "world_encoder_kind": "vjepa2", "world_encoder_source": "embedded", "world_encoder_name": "vjepa2-small",
    "world_encoder_revision": "", "world_encoder_seed": 3, "world_encoder_frames": 4, "world_encoder_image_size": 64,
    "world_encoder_pooling": "mean", "world_encoder_dtype": "float32", "world_encoder_batch": 4,
}  # fmt: skip


def checkpoint(folder: Path, **settings: object) -> str:
    """A folder that holds what planning reads of a checkpoint, and no weights."""
    folder.mkdir(parents=True)
    config = {"type": "smolvla", "chunk_size": 50, "n_action_steps": 50, "input_features": {"a": PICTURE}} | settings
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"")
    return str(folder)


def with_memory(folder: Path, memory: str, **settings: object) -> str:
    return checkpoint(folder, type="smolvla_world", world_memory_mode_train=memory, **ENCODER, **settings)


def test_what_it_prints_is_a_study_of_these_checkpoints(tmp_path: Path) -> None:
    typed = [
        checkpoint(tmp_path / "E0"),
        with_memory(tmp_path / "E1", "zero"),
        with_memory(tmp_path / "E2" / "checkpoints" / "last" / "pretrained_model", "pred"),
    ]
    found = CliRunner().invoke(app, ["study", "init", "--from", *typed, "--suite", "libero_spatial"])
    assert found.exit_code == 0
    assert "simulator: {assets: package, camera_size: 256}" in found.stdout
    file = tmp_path / "mine.yaml"
    file.write_text(found.stdout)
    graph = plan_study(file, tmp_path / "results").graph
    spec = graph.report.spec
    assert [(each.name, each.against) for each in spec.conditions] == [
        ("E0", ""), ("E1", "E0"), ("E2", "E0"), ("E2-zero", "E2"), ("E2-random", "E2"), ("E2-random_scaled", "E2"),
        ("E2-signflip", "E2"),
    ]  # fmt: skip
    assert (len(spec.init_states), spec.repeats) == (50, 4)
    assert {request.address["n_action_steps"] for request in graph.of("rollout")} == {50}


def test_a_part_of_the_suite_can_be_asked_for(tmp_path: Path) -> None:
    typed = ["study", "init", "--from", checkpoint(tmp_path / "E0"), "--suite", "libero_spatial"]
    asked = [
        "--tasks",
        "0-1,4",
        "--init-states",
        "30-32,40",
        "--episodes",
        "4",
        "--assets",
        str(STAND_INS),
        "--horizon",
        "99",
    ]
    found = CliRunner().invoke(app, [*typed, *asked])
    assert found.exit_code == 0
    file = tmp_path / "mine.yaml"
    file.write_text(found.stdout)
    rollouts = list(plan_study(file, tmp_path / "results").graph.of("rollout"))
    assert [request.address["task"] for request in rollouts] == [0, 1, 4]
    assert {tuple(request.address["init_states"]) for request in rollouts} == {(30, 31, 32, 40)}
    assert {request.address["horizon"] for request in rollouts} == {99}
    assert {request.spec.sim.assets for request in rollouts} == {str(STAND_INS)}


def test_checkpoints_that_execute_otherwise_are_told(tmp_path: Path) -> None:
    typed = [checkpoint(tmp_path / "a"), checkpoint(tmp_path / "b", n_action_steps=10)]
    assert init_lines(typed, "libero_spatial")[-1] == "  n_action_steps: 10 # executed per query; they say a 50, b 10"


def test_names_are_the_folders_own() -> None:
    typed = ["me/E0@main", "runs/E2/checkpoints/005000/pretrained_model", "other/E2", "2nd/7b"]
    assert arm_names(typed) == ["E0", "E2", "E2_2", "arm_7b"]


REFUSED = {
    "no such suite": (lambda folder: ([checkpoint(folder / "a")], "libero"), "--suite: there is no libero; choose"),
    "none": (lambda folder: ([], "libero_spatial"), "name at least one checkpoint"),
    "no checkpoint": (lambda folder: ([str(folder)], "libero_spatial"), "is not a LeRobot checkpoint"),
    "another type": (
        lambda folder: ([checkpoint(folder / "a", type="mine")], "libero_spatial"),
        "a policy of type mine is not known here",
    ),
    "other pictures": (
        lambda folder: (
            [
                checkpoint(folder / "a"),
                checkpoint(folder / "b", input_features={"a": {"type": "VISUAL", "shape": [3, 96, 96]}}),
            ],
            "libero_spatial",
        ),
        "one study shows every policy square pictures of one size",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_one_study_is_refused(tmp_path: Path, name: str) -> None:
    asked, message = REFUSED[name]
    with pytest.raises(UserError, match=message):
        init_lines(*asked(tmp_path))


def test_a_study_is_refused_where_the_checkpoints_do_not_fit(tmp_path: Path) -> None:
    plain, world = checkpoint(tmp_path / "E0"), with_memory(tmp_path / "E2", "pred", n_action_steps=10)
    lines = init_lines([plain, world], "libero_spatial", Scope(assets=str(STAND_INS)))
    file = tmp_path / "mine.yaml"

    def refused(text: str) -> str:
        file.write_text(text)
        with pytest.raises(UserError) as error:
            plan_study(file, tmp_path / "results")
        return str(error.value).partition("mine.yaml:")[2]

    text = "\n".join(lines)
    assert refused("\n".join(lines[:-1])) == (
        "12: rollouts: 'n_action_steps' is missing, and the checkpoints say different numbers (E0 50, E2 10); give the "
        "one that every arm executes"
    )
    assert refused(text.replace("camera_size: 256", "camera_size: 128")).startswith(
        "8: arms.E0.checkpoint: it was trained on a of 256x256 pixels, but simulator.camera_size is 128"
    )
    assert refused(text.replace("n_action_steps: 10", "n_action_steps: 60")).startswith(
        "15: rollouts.n_action_steps: 60 exceeds the policy's chunk of 50 actions"
    )
    assert "needs constants that only an arm with memory learned trains" in refused(text.replace("signflip", "learned"))
    assert "has no world memory to ablate" in refused(
        text.replace(f"path: {plain}}}", f"path: {plain}}}\n    ablations: [zero]")
    )
