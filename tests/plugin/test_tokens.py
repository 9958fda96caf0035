"""Several tokens per frame, as a grid of patches has them, the whole way: latents, Prophet, memory, fusion, actions."""

from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_policy import CONTEXT, HORIZON, LATENT_DIM, TinyWorld

from world_modality.facts.memory import FUSIONS, MODES, trainable_modes
from world_modality.latents.reader import open_latents

TOKENS = 3
FRAMES = (0, 20)
ARMS = [(mode, "late") for mode in trainable_modes() if mode != "disabled"] + [
    ("pred", name) for name in FUSIONS.names if name != "late"
]
OTHERS = [
    (mode, name)
    for mode in trainable_modes()
    for name in FUSIONS.names
    if mode != "disabled" and (mode, name) not in ARMS
]
SILENT = {"zero", "aux_only"}  # the actions are the plain policy's


@pytest.fixture(scope="module")
def world(tiny: TinyWorld) -> TinyWorld:
    return tiny.with_tokens(TOKENS)


def chunk(policy: Any, world: TinyWorld, history: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(
        len(FRAMES), policy.config.chunk_size, policy.config.max_action_dim, generator=torch.Generator().manual_seed(1)
    )
    policy.reset()
    with torch.no_grad():
        return policy.eval().predict_action_chunk(
            {**world.observation(*FRAMES), "observation.world_history": history}, noise=noise
        )


@pytest.mark.parametrize(("mode", "fusion"), [*ARMS, *(pytest.param(*arm, marks=pytest.mark.slow) for arm in OTHERS)])
def test_every_mode_in_every_fusion_trains_and_acts(world: TinyWorld, mode: str, fusion: str) -> None:
    policy = world.policy(mode, world_fusion=fusion, world_gate_init=0.5, world_hypotheses=2)
    assert policy.config.world_latent_tokens == TOKENS
    loss, info = policy.train()(world.batch(*FRAMES))
    loss.backward()
    assert np.isfinite(list(info.values())).all()
    read = [p.grad for name, p in policy.world.fusion.named_parameters() if "slots.token" in name]
    assert read
    assert all(grad is not None and bool(grad.any()) == (mode not in SILENT) for grad in read if mode != "aux_only")
    if MODES[mode].rollable:
        history = 5 + 4 * torch.randn(len(FRAMES), CONTEXT, TOKENS, LATENT_DIM, generator=torch.manual_seed(3))
        found = chunk(policy, world, history)
        assert torch.isfinite(found).all()
        other = history.clone()
        other[:, -1, -1] += 30  # one token of the newest frame, so far that another frame is nearest
        assert torch.equal(chunk(policy, world, other), found) == (not MODES[mode].needs_history)


def test_the_memory_is_made_of_every_token(world: TinyWorld) -> None:
    rows = open_latents(world.latents, frames=world.metadata.total_frames).rows(np.arange(21, 21 + HORIZON))
    policy = world.policy("oracle")
    made: list[torch.Tensor] = []
    hold = policy.world.held
    policy.world.held = lambda memory: made.append(memory) or hold(memory)
    policy.train()(world.batch(20))
    expected = policy.world.standardiser(torch.from_numpy(rows))
    assert torch.equal(made[0], expected[None, None])


def test_latents_of_another_number_of_tokens_are_refused(tiny: TinyWorld, world: TinyWorld) -> None:
    from world_modality.errors import UserError

    config = tiny.policy("pred").config
    with pytest.raises(UserError, match="world_latent_tokens is 1 but the latents have 3 tokens per frame"):
        config.adopt_latents(world.policy("pred")._latents.latents)
