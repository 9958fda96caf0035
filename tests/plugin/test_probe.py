"""The counterfactual figure against its definition."""

from __future__ import annotations

import torch
from support.tiny_policy import TinyWorld

from lerobot_policy_world_modality.probe import action_change, plain_pass_due, velocities


def test_the_figure_is_the_difference_between_the_actions_pointed_to() -> None:
    generator = torch.Generator().manual_seed(0)
    noise, action = torch.randn(2, 5, 10, 8, generator=generator)
    with_memory, without = torch.randn(2, 5, 10, 8, generator=generator)
    time = torch.rand(5, generator=generator)
    noisy = time.view(-1, 1, 1) * noise + (1 - time.view(-1, 1, 1)) * action
    pointed = [noisy - time.view(-1, 1, 1) * velocity for velocity in (with_memory, without)]
    expected = (pointed[0] - pointed[1])[..., :7].square().mean().sqrt()
    torch.testing.assert_close(action_change(with_memory, without, time, 7), expected)
    # The velocity noise - action points to the action, whatever the time.
    torch.testing.assert_close(noisy - time.view(-1, 1, 1) * (noise - action), action)


def test_steps_of_the_second_pass() -> None:
    assert [step for step in range(10) if plain_pass_due(step, 3)] == [2, 5, 8]
    assert not any(plain_pass_due(step, 0) for step in range(10))


def test_velocities_are_seen_inside_the_block_alone(tiny: TinyWorld) -> None:
    policy = tiny.policy("disabled").train()
    with velocities(policy.model) as seen:
        policy.forward(tiny.batch(0, 5))
    assert [tuple(velocity.shape) for velocity in seen] == [(2, policy.config.chunk_size, policy.config.max_action_dim)]
    policy.forward(tiny.batch(0, 5))
    assert len(seen) == 1
