"""Checkpoints that cannot be rolled out: the user is told the real cause and its remedy, before anything simulates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.begun_rollout import BegunRollout
from support.command_line import INSPECT, assert_refused, assert_told, wm
from support.given_inputs import (
    POSTPROCESSOR,
    PREPROCESSOR,
    Tensors,
    checkpoint_copy,
    edit_json,
    edit_statistics,
    edit_tensors,
)

VLM = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
OLD_BUFFERS = {
    "normalize_inputs.buffer_observation_state": 8,
    "normalize_targets.buffer_action": 7,
    "unnormalize_outputs.buffer_action": 7,
}
WRONG_REMEDY = "train it again"
Spoil = Callable[[Path], None]


def no_processors(checkpoint: Path) -> None:
    for file in checkpoint.glob("policy_p*"):
        file.unlink()


def old_buffers(checkpoint: Path) -> None:
    """As before LeRobot had processors: statistics are tensors of the model."""

    def with_buffers(tensors: Tensors) -> Tensors:
        for name, size in OLD_BUFFERS.items():
            tensors |= {f"{name}.mean": torch.zeros(size), f"{name}.std": torch.ones(size)}
        return tensors

    no_processors(checkpoint)
    edit_tensors(checkpoint / "model.safetensors", with_buffers)


def backbone_not_in_the_cache(checkpoint: Path) -> None:
    edit_json(checkpoint / "config.json", lambda config: config.update(vlm_model_name=VLM))


def adapter_alone(checkpoint: Path) -> None:
    """What a LoRA training leaves."""
    (checkpoint / "model.safetensors").rename(checkpoint / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "base_model_name_or_path": "lerobot/smolvla_base", "r": 8}
    (checkpoint / "adapter_config.json").write_text(json.dumps({**settings, "target_modules": ["q_proj"]}))
    edit_json(checkpoint / "config.json", lambda config: config.update(use_peft=True))


def unknown_step(checkpoint: Path) -> None:
    edit_json(
        checkpoint / PREPROCESSOR, lambda found: found["steps"].append({"registry_name": "their_step", "config": {}})
    )


def step_of_a_missing_package(checkpoint: Path) -> None:
    step = {"class": "no_such_package.steps.TheirStep", "config": {}}
    edit_json(checkpoint / PREPROCESSOR, lambda found: found["steps"].append(step))


def settings_of_a_newer_lerobot(checkpoint: Path) -> None:
    edit_json(checkpoint / "config.json", lambda config: config.update(world_clock=3))


def state_of_7(checkpoint: Path) -> None:
    resize(checkpoint, "input_features", "observation.state", 7)


def action_of_6(checkpoint: Path) -> None:
    resize(checkpoint, "output_features", "action", 6)


def resize(checkpoint: Path, group: str, feature: str, size: int) -> None:
    def in_config(config: dict[str, Any]) -> None:
        config[group][feature]["shape"] = [size]

    def in_steps(pipeline: dict[str, Any]) -> None:
        for step in pipeline["steps"]:
            if feature in step["config"].get("features", {}):
                step["config"]["features"][feature]["shape"] = [size]

    def cut(statistics: Tensors) -> Tensors:
        own = {name: value[:size].clone() for name, value in statistics.items() if name.startswith(f"{feature}.")}
        return {**statistics, **own}

    edit_json(checkpoint / "config.json", in_config)
    for name in (PREPROCESSOR, POSTPROCESSOR):
        edit_json(checkpoint / name, in_steps)
    edit_statistics(checkpoint, cut)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (no_processors, (PREPROCESSOR, "migrate_policy_normalization")),
        (old_buffers, ("normalize_inputs.buffer_observation_state", "migrate_policy_normalization")),
        (backbone_not_in_the_cache, (VLM,)),
        (adapter_alone, ("adapter_model.safetensors", "lerobot/smolvla_base")),
        (state_of_7, ("observation.state", "7", "8")),
        (action_of_6, ("action", "6", "7")),
        (unknown_step, ("their_step",)),
        (step_of_a_missing_package, ("no_such_package",)),
        (settings_of_a_newer_lerobot, ("config.json", "world_clock")),
    ],
)
def test_the_real_cause_is_told(place: Path, rollout: BegunRollout, spoil: Spoil, named: tuple[str, ...]) -> None:
    checkpoint = checkpoint_copy(place / "checkpoint")
    spoil(checkpoint)
    outcome = rollout(checkpoint)
    assert not rollout.began
    assert_refused(outcome, *named)
    assert WRONG_REMEDY not in str(outcome.error)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (no_processors, PREPROCESSOR),
        (old_buffers, "normalize_inputs.buffer_observation_state"),
        (adapter_alone, "adapter_model.safetensors"),
    ],
)
def test_inspecting_it_tells_too(place: Path, spoil: Spoil, named: str) -> None:
    checkpoint = checkpoint_copy(place / "checkpoint")
    spoil(checkpoint)
    assert_told(wm(INSPECT, checkpoint), named)
