"""The gate opens, goes on opening at a small rate, and an open gate can be reported."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from lerobot.scripts.lerobot_train import update_policy
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker
from support.tiny_policy import TinyWorld, build_tiny_world, save_backbone_with_weights

from world_modality.facts.memory import FUSIONS

SMALL_RATE, STEPS = 3e-5, 2000


@pytest.mark.defect("B3")
@pytest.mark.defect("B4")
@pytest.mark.parametrize("fusion", FUSIONS.names)
def test_a_gate_opens_in_training_and_its_figures_reach_the_tracker(tiny: TinyWorld, fusion: str) -> None:
    policy = tiny.policy("pred", world_fusion=fusion, world_lr=1e-2)
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())
    tracker = MetricsTracker(2, 45, 3, {key: AverageMeter(key) for key in ("loss", "grad_norm", "lr", "update_s")})
    for _ in range(3):
        update_policy(tracker, policy, tiny.batch(0, 20), optimizer, 0.0, Accelerator(cpu=True))
    assert policy.world.fusion.gates().abs().min() > 1e-3
    told = tracker.to_dict()
    assert {"world_gate", "world_attention_entropy", "world_residual_ratio"} <= told.keys()
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in told.values()), told


@pytest.mark.defect("B6")
def test_a_gate_of_a_bfloat16_policy_does_not_stand_still_at_a_small_rate(tmp_path: Path) -> None:
    """A bfloat16 number moved by AdamW stops at the power of two where a step is half a last place."""
    stuck = torch.nn.Parameter(torch.zeros((), dtype=torch.bfloat16))
    plain = torch.optim.AdamW([stuck], lr=SMALL_RATE, weight_decay=0)
    backbone = save_backbone_with_weights(tmp_path / "backbone")
    world = build_tiny_world(tmp_path, vlm_model_name=str(backbone), load_vlm_weights=True)
    policy = world.policy("pred", world_lr=SMALL_RATE)
    assert torch.bfloat16 in {parameter.dtype for parameter in policy.parameters()}
    gate = policy.world.fusion.injector.gate
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())
    for _ in range(STEPS):
        for parameter, own in ((stuck, plain), (gate, optimizer)):
            parameter.grad = torch.ones_like(parameter)
            own.step()
    assert abs(stuck.item()) == 2**-6
    assert gate.item() == pytest.approx(-SMALL_RATE * STEPS, rel=0.01)
