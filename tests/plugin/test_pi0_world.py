"""What pi0 does otherwise than SmolVLA: its hooks are run again in the backward pass, and its loss counts padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.tiny_policy import CONTEXT, LATENT_DIM, TinyWorld, tiny_pi0_config

from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS

FRAMES = (0, 5, 13, 44)


def gradients(policy: Any, world: TinyWorld) -> tuple[float, dict[str, torch.Tensor]]:
    policy.zero_grad()
    loss, _ = policy.train()(world.batch(*FRAMES))
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("actions", [False, True], ids=["", "told the actions"])
@pytest.mark.parametrize("fusion", FUSIONS.names)
def test_gradient_checkpointing_changes_no_gradient(tiny_pi0_world: TinyWorld, fusion: str, actions: bool) -> None:
    if actions and FUSIONS[fusion].before_actions:
        pytest.skip("refused")
    settings = {"world_fusion": fusion, "world_gate_init": 0.8, "world_actions": actions, "world_probe_every": 1}
    plain = tiny_pi0_world.policy("pred", **settings)
    saving = tiny_pi0_world.policy("pred", **settings, gradient_checkpointing=True)
    assert saving.model.gradient_checkpointing_enabled
    for _ in range(2):  # the second pass finds the memory that the first one left
        loss, expected = gradients(plain, tiny_pi0_world)
        own_loss, own = gradients(saving, tiny_pi0_world)
        assert own_loss == loss
        assert own.keys() == expected.keys()
        assert all(torch.equal(own[name], gradient) for name, gradient in expected.items())
        assert any(name.startswith("world.prophet") and each.abs().sum() > 0 for name, each in own.items())


def test_a_memory_that_lingers_is_no_rollouts(tiny_pi0_world: TinyWorld) -> None:
    policy = tiny_pi0_world.policy("pred", world_gate_init=0.8, gradient_checkpointing=True)
    gradients(policy, tiny_pi0_world)
    observation, config = tiny_pi0_world.observation(3, 20), policy.config
    noise = torch.randn(2, config.chunk_size, config.max_action_dim, generator=torch.Generator().manual_seed(1))
    expected = tiny_pi0_world.stock().predict_action_chunk(dict(observation), noise=noise)
    for mode in ("zero", "disabled"):
        config.world_memory_mode_rollout = mode
        assert torch.equal(policy.predict_action_chunk(dict(observation), noise=noise), expected)


def test_given_draws_leave_no_trace(tiny_pi0_world: TinyWorld) -> None:
    policy = tiny_pi0_world.policy("disabled").train()
    before = torch.get_rng_state()
    one, same = (policy(tiny_pi0_world.batch(*FRAMES))[0] for _ in range(2))
    assert one == same  # keyed by the frames
    assert torch.equal(torch.get_rng_state(), before)
    assert not {"sample_noise", "sample_time"} & vars(policy.model).keys()


def test_every_step_shows_the_policy_one_frame(tiny_pi0_world: TinyWorld) -> None:
    policy = tiny_pi0_world.policy("pred", world_encoder_frames=1)
    seen: list[int] = []
    policy._online.see = lambda batch: seen.append(len(batch["observation.state"]))
    policy._online.latents = lambda: torch.zeros(1, CONTEXT, 1, LATENT_DIM)
    policy.reset()
    for _ in range(2 * policy.config.n_action_steps + 1):
        policy.select_action(tiny_pi0_world.observation(3))
    assert seen == [1] * (2 * policy.config.n_action_steps + 1)


def test_a_compiled_pi0_takes_no_memory() -> None:
    with pytest.raises(UserError, match="compile_model: a compiled pi0 would not see"):
        tiny_pi0_config(compile_model=True, world_memory_mode_train="pred")


def test_an_unknown_small_architecture_is_told(tiny_pi0_world: TinyWorld) -> None:
    config = tiny_pi0_config(small_architecture="pi0-huge")
    with pytest.raises(UserError, match="'pi0-huge' is none; choose one of pi0-tiny"):
        type(tiny_pi0_world.policy("disabled"))(config)
