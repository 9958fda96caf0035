"""What is set at evaluation holds, in every arm alike, and nothing of the start policy is read again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from support.tiny_checkpoints import plain_checkpoint, world_checkpoint

from world_modality.policies.chunk_policy import load_policy

CHANGED = {"n_action_steps": 4, "num_steps": 2, "use_amp": True}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    plain = plain_checkpoint(root / "plain")
    made = {memory: world_checkpoint(root / memory, plain, memory) for memory in ("disabled", "zero", "pred")}
    shutil.rmtree(plain)
    return made


def observation() -> dict[str, torch.Tensor]:
    pictures = {f"observation.images.{name}": torch.rand(1, 3, 256, 256) for name in ("image", "image2")}
    words = torch.ones(1, 5, dtype=torch.int64)
    return {
        **pictures,
        "observation.state": torch.zeros(1, 8),
        "observation.language.tokens": words,
        "observation.language.attention_mask": words.bool(),
    }


def count_calls(model: Any, name: str) -> list[int]:
    calls: list[int] = []
    original = getattr(model, name)
    setattr(model, name, lambda *given, **named: calls.append(1) or original(*given, **named))
    return calls


@pytest.mark.defect("B8")
@pytest.mark.parametrize("memory", ["disabled", "zero", "pred"])
def test_lerobots_flags_hold_in_every_arm(checkpoints: dict[str, Path], memory: str) -> None:
    saved = PreTrainedConfig.from_pretrained(checkpoints[memory])
    flags = [f"--{name}={str(value).lower()}" for name, value in CHANGED.items()]
    if memory == "pred":
        flags.append("--world_memory_mode_rollout=zero")
    config = PreTrainedConfig.from_pretrained(checkpoints[memory], cli_overrides=flags)
    policy = get_policy_class(config.type).from_pretrained(checkpoints[memory], config=config)
    for name, value in CHANGED.items():
        assert getattr(saved, name) != value
        assert getattr(policy.config, name) == value
    chunks, steps = count_calls(policy.model, "sample_actions"), count_calls(policy.model, "denoise_step")
    for _ in range(CHANGED["n_action_steps"] + 1):
        policy.select_action(observation())
    assert (len(chunks), len(steps)) == (2, 2 * CHANGED["num_steps"])


@pytest.mark.defect("B8")
@pytest.mark.parametrize("memory", ["disabled", "zero", "pred"])
def test_a_rollouts_settings_hold_in_every_arm(checkpoints: dict[str, Path], memory: str) -> None:
    policy = load_policy(checkpoints[memory], num_steps=2, n_action_steps=4)
    assert (policy.config.num_steps, policy.config.n_action_steps) == (2, 4)
    untouched = PreTrainedConfig.from_pretrained(checkpoints[memory])
    assert load_policy(checkpoints[memory]).config.num_steps == untouched.num_steps != 2
