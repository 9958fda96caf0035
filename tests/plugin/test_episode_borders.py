"""What a training batch learns from ends at its episode's borders, as LeRobot's own columns tell them."""

from __future__ import annotations

import pytest
import torch
from support.tiny_policy import CONTEXT, HORIZON, TinyWorld


@pytest.mark.defect("B1")
def test_no_history_and_no_future_leaves_its_episode(tiny: TinyWorld) -> None:
    lookup = tiny.policy("pred")._latents
    episodes = [int(episode) for episode in tiny.dataset.hf_dataset["episode_index"]]
    rows = lookup.latents.rows(torch.arange(len(episodes)).numpy())
    frames = {row.tobytes(): frame for frame, row in enumerate(rows)}
    assert len(frames) == len(episodes)  # so that a latent tells its frame
    window = lookup.window(torch.arange(len(episodes)), CONTEXT, HORIZON)
    for frame, episode in enumerate(episodes):
        own = [other for other, number in enumerate(episodes) if number == episode]
        seen = [frames[latent.numpy().tobytes()] for latent in window.history[frame]]
        ahead = [frames[latent.numpy().tobytes()] for latent in window.future[frame]]
        assert seen == [max(frame - back, own[0]) for back in reversed(range(CONTEXT))]
        assert ahead == [min(frame + step, own[-1]) for step in range(1, HORIZON + 1)]
        assert window.valid[frame].tolist() == [frame + step in own for step in range(1, HORIZON + 1)]


@pytest.mark.defect("B1")
def test_the_share_of_futures_that_exist_is_reported(tiny: TinyWorld) -> None:
    """It was about 1 where it should not have been, and nobody looked."""
    policy, ends = tiny.policy("pred").train(), (13, 12, 28, 44)  # frames at the end of an episode, one just before
    _, report = policy(dict(tiny.batch(*ends)))
    assert report["world_valid"] == pytest.approx(1 / (len(ends) * HORIZON))
