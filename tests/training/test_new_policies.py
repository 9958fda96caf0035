"""Policies that LeRobot builds anew, with its own settings: built from a seed, trained by our stage, and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.small_study import SMALL_STUDY, edited, graph_of
from support.tiny_cell import build_inputs, cell_context, stage_context, train_spec

from world_modality.errors import UserError
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.config_file import read_config_file
from world_modality.study.specs import BEFORE, OptimSpec, PolicySpec
from world_modality.training import stage, start

ACT: dict[str, Any] = {
    "chunk_size": 6, "n_action_steps": 4, "dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "n_encoder_layers": 1,
    "n_vae_encoder_layers": 1, "latent_dim": 4, "pretrained_backbone_weights": None,
}  # fmt: skip
DIFFUSION: dict[str, Any] = {
    "n_obs_steps": 2, "horizon": 8, "n_action_steps": 4, "down_dims": (16, 32), "diffusion_step_embed_dim": 8,
    "spatial_softmax_num_keypoints": 4, "num_train_timesteps": 4, "drop_n_last_frames": 2, "crop_ratio": 1.0,
    "pretrained_backbone_weights": None,
}  # fmt: skip
PRESET = OptimSpec(
    steps=3, batch_size=4, lr=0, warmup_steps=0, decay_steps=0, decay_lr=0, weight_decay=0, grad_clip=0, world_lr=1e-3,
    train_vision=True, preset=True,
)  # fmt: skip


def spec_of(kind: str, settings: dict[str, Any], seed: int = 0) -> PolicySpec:
    return PolicySpec(
        family=kind, source="new", name=kind, revision="", seed=seed, suite="libero_spatial", pixels=64,
        settings=tuple(sorted(settings.items())),
    )  # fmt: skip


def built(folder: Path, spec: PolicySpec) -> Path:
    context = stage_context(folder)
    start.run(spec, context)
    return context.artifact


@pytest.mark.parametrize(
    ("kind", "settings"), [("act", ACT), pytest.param("diffusion", DIFFUSION, marks=pytest.mark.slow)]
)
def test_they_are_built_of_the_seed_and_trained_as_their_preset_says_also_in_parts(
    tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    policy = built(tmp_path / "policy", spec_of(kind, settings))
    config = read_config_file(policy)
    assert {name: config[name] for name in ("type", "n_action_steps")} == {"type": kind, "n_action_steps": 4}
    weights = load_file(policy / "model.safetensors")
    again = load_file(built(tmp_path / "again", spec_of(kind, settings)) / "model.safetensors")
    other = load_file(built(tmp_path / "other", spec_of(kind, settings, seed=1)) / "model.safetensors")
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not all(torch.equal(weights[name], other[name]) for name in weights)

    inputs = {**build_inputs(tmp_path / "inputs", size=64), "policy": (policy,)}
    context = cell_context(tmp_path / "train", inputs, memory="disabled")
    trained = train_spec("disabled", steps=3).model_copy(update={"family": kind, "optim": PRESET, "n_action_steps": 4})
    stage.run(trained, context)
    moved = load_file(context.artifact / "pretrained_model" / "model.safetensors")
    assert not all(torch.equal(weights[name], moved[name]) for name in weights)
    assert load_policy(context.artifact / "pretrained_model").past_steps == config["n_obs_steps"] - 1
    told = read_config_file(context.artifact / "pretrained_model")
    assert told["optimizer_lr"] == config["optimizer_lr"]  # LeRobot's own

    # What they draw while they learn is in the checkpoint, so that a training in parts is the same.
    first = cell_context(tmp_path / "first", inputs, memory="disabled")
    stage.run(trained.model_copy(update={"stop": 1}), first)
    rest = cell_context(tmp_path / "rest", inputs, memory="disabled")
    stage.run(trained, replace(rest, inputs={**rest.inputs, BEFORE: (first.artifact,)}))
    parts = load_file(rest.artifact / "pretrained_model" / "model.safetensors")
    assert all(torch.equal(moved[name], parts[name]) for name in moved)


@pytest.mark.parametrize(
    ("settings", "said"), [({"chunk": 3}, "chunk"), ({**ACT, "n_action_steps": 9}, "n_action_steps")]
)
def test_settings_that_lerobot_does_not_take_are_refused(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=rf"policy.settings: LeRobot builds no ACT of them .*{said}"):
        built(tmp_path, spec_of("act", settings))


ARM = "  ACT: {memory: disabled, preset: true, policy: {source: new, type: act, settings: {chunk_size: 10}}}\n"


def test_such_an_arm_stands_beside_the_others(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, edited(("arms:\n", f"arms:\n{ARM}")))
    others = {request.key for request in graph_of(tmp_path, SMALL_STUDY).of("train")}
    trainings = {request.key: request for request in graph.of("train")}
    own = [request for key, request in trainings.items() if key not in others]
    assert {request.address["family"] for request in own} == {"act"}
    assert {request.address["optim"]["preset"] for request in own} == {True}
    assert {request.address["optim"]["steps"] for request in own} == {10}
    faster = graph_of(
        tmp_path, edited(("arms:\n", f"arms:\n{ARM}"), ("batch_size: 2\n", "batch_size: 2\n  lr: 1e-3\n"))
    )
    assert {request.key for request in faster.of("train")} >= {request.key for request in own}  # the preset's own


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (ARM.replace("type: act", "type: tdmpc"), "arms.ACT.policy.type: a policy of type tdmpc plans no chunk"),
        (ARM.replace("type: act", "type: acts"), "arms.ACT.policy.type: 'acts' is not a policy family"),
        (ARM.replace("chunk_size: 10", "chunk_size: 5"), "n_action_steps: 10 exceeds the policy's chunk of 5 actions"),
        (ARM.replace("chunk_size: 10", "dims: {a: 1}"), "dims must be a number, a word, true, false, null or a list"),
        (ARM.replace("memory: disabled", "memory: pred"), "no world memory can be attached to ACT"),
        ("  S: {memory: disabled, preset: true}\n", "arms.S.preset: SmolVLA is trained with the optimiser"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path: Path, arm: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        graph_of(tmp_path, edited(("arms:\n", f"arms:\n{arm}")))
    assert message in str(error.value)
