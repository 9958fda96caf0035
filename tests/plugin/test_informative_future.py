"""Where only the future tells what to do, a memory of it is read, and one that knows nothing of it is no help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.circling_world import (
    EPISODES,
    HELD_OUT,
    HORIZON,
    USED,
    Floats,
    actions,
    batches,
    build_circling_world,
    every_frame,
    explained,
    latents,
    phases,
)
from support.tiny_policy import TinyWorld

STEPS, BATCH = 300, 32
SETTINGS = {
    "world_prediction_horizon": HORIZON,
    "world_prophet_width": 64,
    "world_prophet_layers": 2,
    "world_lambda": 1.0,
}
DETACHED, UNTAUGHT = {"world_detach": True}, {"world_lambda": 0.0}
# What is told nothing explains 0 at most, and less the surer it is of its guess: above there is only chance.
NOTHING = 0.05
ARMS: dict[str, tuple[str, dict[str, Any], float, float]] = {  # -> mode, settings, least and most that it may explain
    "oracle": ("oracle", {}, 0.9, 1.0),
    "pred": ("pred", {}, 0.8, 1.0),
    "pred, detached": ("pred", DETACHED, 0.8, 1.0),
    "pred, lambda 0": ("pred", UNTAUGHT, -2.0, 0.7),  # its T frames tell it all, but unasked it does not find it here
    "stale": ("stale", {}, 0.5, 1.0),  # late, and still true: no episode turns round
    "stale, detached": ("stale", DETACHED, 0.5, 1.0),
    "time_shuffle": ("time_shuffle", {}, 0.5, 1.0),  # taught by the policy, the Prophet says it so as to need no order
    "time_shuffle, detached": ("time_shuffle", DETACHED, -2.0, NOTHING),
    "persistence": ("persistence", {}, -2.0, NOTHING),
    "shuffle": ("shuffle", {}, -2.0, NOTHING),
    "random": ("random", {}, -2.0, NOTHING),
    "learned": ("learned", {}, -2.0, NOTHING),
    "zero": ("zero", {}, -2.0, NOTHING),
}


@pytest.fixture(scope="module")
def circling(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyWorld, dict[str, Any]]:
    world = build_circling_world(tmp_path_factory.mktemp("circling"))
    return world, every_frame(world)


def trained(world: TinyWorld, frames: dict[str, Any], mode: str, settings: dict[str, Any]) -> Any:
    policy = world.policy(mode, **SETTINGS | settings).train()
    optimiser = torch.optim.AdamW(policy.get_optim_params(), lr=2e-3, weight_decay=0)
    for group in optimiser.param_groups:
        group["lr"] = 2e-3
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=STEPS)
    for batch in batches(frames, STEPS, BATCH, seed=0):
        optimiser.zero_grad()
        policy(batch)[0].backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        policy.update()
    return policy


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("arm", ARMS)
def test_a_memory_is_worth_what_it_tells_of_the_future(
    circling: tuple[TinyWorld, dict[str, Any]], arm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world, frames = circling
    mode, settings, least, most = ARMS[arm]
    share = explained(trained(world, frames, mode, settings), frames)
    with capsys.disabled():
        print(f"\n| {arm} | {share:.1%} |", flush=True)
    assert least < share <= most


def squares(values: Floats) -> Floats:
    """The values [..., D] and their products in pairs."""
    upper = np.triu_indices(values.shape[-1])
    return np.concatenate([values, (values[..., :, None] * values[..., None, :])[..., *upper]], -1)


WINDOWS: dict[str, tuple[Callable[[Floats, int], Floats], float, float]] = {  # -> features of z and t, bounds
    "the present": (lambda z, t: squares(z[:, t]), -1, 0.05),
    "two frames in order": (lambda z, t: z[:, t - 1 : t + 1].reshape(len(z), -1), 0.95, 1),
    "the future in order": (lambda z, t: z[:, t + 1 : t + 1 + HORIZON].reshape(len(z), -1), 0.95, 1),
    "the future in no order": (lambda z, t: squares(z[:, t + 1 : t + 1 + HORIZON]).mean(1), -1, 0.05),
    "a late prediction": (lambda z, t: z[:, t + 1 - HORIZON : t + 1].reshape(len(z), -1), 0.95, 1),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_what_latents_tell_of_the_action_in_that_world(window: str) -> None:
    """By least squares, without a policy, so that the world can be told from those who learn in it."""
    rng = np.random.default_rng(0)
    phase = phases(rng)
    features, least, most = WINDOWS[window]
    z = latents(phase, rng).astype(float)
    seen = np.stack([features(z, t) for t in USED], 1)
    inputs, outputs = np.concatenate([seen, np.ones_like(seen[..., :1])], -1), actions(phase)[:, USED]
    train = EPISODES - HELD_OUT
    weights = np.linalg.lstsq(*(each[:train].reshape(-1, each.shape[-1]) for each in (inputs, outputs)), rcond=1e-4)[0]
    error = np.square(inputs[train:] @ weights - outputs[train:]).mean()
    assert least < 1 - error / np.square(outputs[train:]).mean() <= most
