"""Where only the future tells what to do, a memory of it is read, and every placebo leaves the policy in the dark."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.circling_world import HORIZON, batches, build_circling_world, every_frame, explained
from support.tiny_policy import TinyWorld

STEPS, BATCH = 300, 32
SETTINGS = {"world_horizon": HORIZON, "world_prophet_width": 64, "world_prophet_layers": 2, "world_lambda": 1.0}


@pytest.fixture(scope="module")
def circling(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyWorld, dict[str, Any]]:
    world = build_circling_world(tmp_path_factory.mktemp("circling"))
    return world, every_frame(world)


def trained(world: TinyWorld, frames: dict[str, Any], mode: str, steps: int = STEPS) -> Any:
    policy = world.policy(mode, **SETTINGS).train()
    optimiser = torch.optim.AdamW(policy.get_optim_params(), lr=2e-3, weight_decay=0)
    for group in optimiser.param_groups:
        group["lr"] = 2e-3
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for batch in batches(frames, steps, BATCH, seed=0):
        optimiser.zero_grad()
        policy(batch)[0].backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        policy.update()
    return policy


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_only_memories_that_know_the_future_solve_it(
    circling: tuple[TinyWorld, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    world, frames = circling
    shares = {}
    for mode in ("oracle", "pred", "zero", "learned", "persistence", "shuffle", "random"):
        shares[mode] = explained(trained(world, frames, mode), frames)
        with capsys.disabled():
            print(f"{mode:12} explains {shares[mode]:6.1%} of the held-out actions' variance", flush=True)
    assert shares["oracle"] > 0.8
    assert shares["pred"] > 0.7
    assert all(share < 0.2 for mode, share in shares.items() if mode not in ("oracle", "pred"))
