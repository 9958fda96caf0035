"""What a training's memory is made of, frame by frame, computed once more from the latents on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny_policy import CONTEXT, HORIZON, TinyWorld
from torch import Tensor

from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy

EPISODES = ((0, 14), (14, 29), (29, 45))


def rows(tiny: TinyWorld) -> np.ndarray:
    latents = np.load(tiny.latents / "latents.npy").astype(np.float32)
    assert latents.shape == (45, 1, 12)
    return latents


def history_ending_at(tiny: TinyWorld, last: int) -> np.ndarray:
    """T rows that end at frame ``last``, its episode's first one repeated before it."""
    start = next(start for start, end in EPISODES if start <= last < end)
    return rows(tiny)[[max(start, last - back) for back in reversed(range(CONTEXT))]]


def memory_of(policy: SmolVLAWorldPolicy, frame: int) -> Tensor:
    batch = {"index": torch.tensor([frame])}
    window = policy._window(policy.world, batch)
    with torch.no_grad():
        prediction = policy.world.prophet(window.history)
        return policy._training_memory(policy.world, batch, window, prediction, None)


def predicted(policy: SmolVLAWorldPolicy, history: np.ndarray) -> Tensor:
    with torch.no_grad():
        return policy.world.prophet(policy.world.standardiser(torch.from_numpy(history)[None]))


@pytest.mark.parametrize("frame", [14 + HORIZON, 22, 28, 44])
def test_stale_is_the_prediction_of_one_horizon_ago(tiny: TinyWorld, frame: int) -> None:
    policy = tiny.policy("stale")
    torch.testing.assert_close(memory_of(policy, frame), predicted(policy, history_ending_at(tiny, frame - HORIZON)))
    assert not torch.allclose(memory_of(policy, frame), predicted(policy, history_ending_at(tiny, frame)))


@pytest.mark.parametrize("frame", [14, 15, 17])
def test_stale_begins_with_the_episodes_first_prediction(tiny: TinyWorld, frame: int) -> None:
    """There is nothing earlier: until K frames have passed, the delay is shorter."""
    policy = tiny.policy("stale")
    torch.testing.assert_close(memory_of(policy, frame), predicted(policy, history_ending_at(tiny, 14)))


@pytest.mark.parametrize("frame", [0, 20, 44])
def test_shuffle_is_the_prediction_of_another_episode(tiny: TinyWorld, frame: int) -> None:
    policy = tiny.policy("shuffle")
    own = next(index for index, (start, end) in enumerate(EPISODES) if start <= frame < end)
    memory = memory_of(policy, frame)
    matching = [
        episode
        for episode, (start, end) in enumerate(EPISODES)
        for last in range(start, end)
        if torch.allclose(memory, predicted(policy, history_ending_at(tiny, last)), atol=1e-5)
    ]
    assert matching
    assert own not in matching


def test_after_the_first_step_every_donor_is_a_trained_episodes_history(tiny: TinyWorld) -> None:
    policy = tiny.policy("shuffle", world_held_out=[1])
    policy.train()
    policy.forward(tiny.batch(0, 44))
    trained = [history_ending_at(tiny, last) for start, end in (EPISODES[0], EPISODES[2]) for last in range(start, end)]
    known = policy.world.standardiser(torch.from_numpy(np.stack(trained)))
    distance = (policy.world.donors[:, None] - known[None]).abs().amax((-1, -2, -3)).amin(1)
    assert distance.max() < 1e-5
    assert len(torch.unique(policy.world.donors, dim=0)) > 8
