"""A base policy in bfloat16, as SmolVLA's real weights are: what is trained, and in which precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.common.train_utils import load_training_state, save_checkpoint
from support.lerobot_training import Training, assert_equal, base_weights
from support.tiny_policy import TinyWorld, build_tiny_world, save_backbone_with_weights

from world_modality.facts.memory import FUSIONS

STEPS = 4
RATES = {"optimizer_lr": 1e-4, "world_lr": 1e-4, "scheduler_warmup_steps": 0}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    root = tmp_path_factory.mktemp("bfloat16")
    backbone = save_backbone_with_weights(root / "backbone")
    return build_tiny_world(root, vlm_model_name=str(backbone), load_vlm_weights=True)


@pytest.fixture(scope="module")
def trained(world: TinyWorld) -> Training:
    training = Training(world.policy("pred", **RATES))
    training.run(world, 0, STEPS)
    return training


def rounded(policy: Any) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in policy.named_parameters() if p.dtype == torch.bfloat16 and p.requires_grad}


@pytest.mark.parametrize("fusion", FUSIONS.names)
def test_the_world_modules_are_of_32_bits_beside_a_base_of_16(world: TinyWorld, fusion: str) -> None:
    policy = world.policy("learned", world_fusion=fusion)
    assert {p.dtype for p in policy.world.parameters()} == {torch.float32}
    assert {b.dtype for b in policy.world.buffers()} == {torch.float32}
    assert any("lm_expert" in name for name in rounded(policy))


@pytest.mark.defect("B6")
def test_gate_and_world_weights_move_by_less_than_bfloat16_could_tell(world: TinyWorld, trained: Training) -> None:
    before, after = (dict(each.world.named_parameters()) for each in (world.policy("pred", **RATES), trained.policy))
    gate = after["fusion.injector.gate"]
    assert 0 < gate.abs() < STEPS * 1.01e-4
    assert gate != gate.bfloat16().float()
    idle = {"fusion.injector.slots.hypothesis", "fusion.injector.hidden_norm.weight"}  # no gradient, or hardly one yet
    still = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert still <= idle, still


@pytest.mark.defect("B6")
def test_the_bases_weights_move_in_their_masters_where_rounding_would_hold_them(
    world: TinyWorld, trained: Training
) -> None:
    """A norm's weights of 1 cannot take a step of 1e-4 in bfloat16."""
    before = rounded(world.policy("pred", **RATES))
    norms = {name for name, value in before.items() if "layernorm" in name and (value == 1).all()}
    assert norms
    for name, value in rounded(trained.policy).items():
        master = trained.optimizer.state[value]["master"]
        assert torch.equal(value, master.bfloat16()), name
        assert trained.optimizer.state[value]["exp_avg_sq"].dtype == torch.float32
        if name in norms:
            assert torch.equal(value, before[name]), name
            assert (master != 1).float().mean() > 0.9, name


def test_zero_memory_trains_the_base_to_the_weights_of_no_memory(world: TinyWorld) -> None:
    settings = {"optimizer_grad_clip_norm": 0.05, "optimizer_lr": 1e-2, "world_lr": 3e-2, "world_lambda": 50.0}
    runs = {mode: Training(world.policy(mode, **settings)) for mode in ("disabled", "zero")}
    for training in runs.values():
        training.run(world, 0, STEPS)
    assert_equal(base_weights(runs["zero"].policy), base_weights(runs["disabled"].policy))
    masters = [
        {name: training.optimizer.state[p]["master"] for name, p in rounded(training.policy).items()}
        for training in runs.values()
    ]
    assert_equal(*masters)


def test_a_resumed_training_ends_with_the_same_weights(world: TinyWorld, tmp_path: Path) -> None:
    straight = Training(world.policy("pred", **RATES))
    straight.run(world, 0, 2)
    save_checkpoint(tmp_path, 2, straight.config, straight.policy, straight.optimizer, straight.scheduler)
    expected = straight.run(world, 2, STEPS)
    resumed = Training(world.load(tmp_path / "pretrained_model"))
    _, resumed.optimizer, resumed.scheduler = load_training_state(tmp_path, resumed.optimizer, resumed.scheduler)
    assert resumed.run(world, 2, STEPS) == expected
    assert_equal(resumed.policy.state_dict(), straight.policy.state_dict())
    for mine, theirs in zip(rounded(straight.policy).values(), rounded(resumed.policy).values(), strict=True):
        assert_equal(straight.optimizer.state[mine], resumed.optimizer.state[theirs])
