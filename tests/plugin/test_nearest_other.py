"""A memory that is looked up among the training episodes: trained, saved, moved, and rolled out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_policy import CONTEXT, HORIZON, LATENT_DIM, TinyWorld

from lerobot_policy_world_modality.world_policy import WORLD_HISTORY
from world_modality.errors import UserError
from world_modality.policies.chunk_policy import TrainingLatents, load_policy
from world_modality.training import offline

EPISODES = ((0, 14), (14, 29), (29, 45))
HELD_OUT = 1
MODE = "nearest_other"


def standardised(tiny: TinyWorld, policy: Any) -> np.ndarray:
    """All latents [45, 1, W] in the units of a policy's memory."""
    rows = torch.from_numpy(np.load(tiny.latents / "latents.npy").astype(np.float32))
    found: np.ndarray = policy.world.standardiser(rows).numpy()
    return found


def expected(rows: np.ndarray, query: np.ndarray, allowed: tuple[int, ...]) -> np.ndarray:
    """What came after the nearest frame of the allowed episodes, [K, 1, W]."""
    frames = [frame for episode in allowed for frame in range(*EPISODES[episode])]
    distances = [float(np.square(rows[frame].astype(np.float64) - query.astype(np.float64)).sum()) for frame in frames]
    nearest = frames[distances.index(min(distances))]
    end = next(end for start, end in EPISODES if start <= nearest < end)
    return rows[[min(nearest + k, end - 1) for k in range(1, HORIZON + 1)]]


def memory_of(policy: Any, frames: list[int]) -> torch.Tensor:
    batch = {"index": torch.tensor(frames)}
    window = policy._window(policy.world, batch)
    with torch.no_grad():
        return policy._training_memory(policy.world, batch, window, policy.world.prophet(window.history), None)


def trained(tiny: TinyWorld, mode: str, folder: Path, **settings: Any) -> Path:
    """A checkpoint after one step, with its processors."""
    policy = tiny.policy(mode, world_held_out=[HELD_OUT], world_gate_init=0.5, **settings).train()
    policy(tiny.batch(0, 5, 30, 44))
    policy.update()
    policy.save_pretrained(folder)
    for file in tiny.base.glob("policy_*processor*"):
        shutil.copyfile(file, folder / file.name)
    return folder


@pytest.mark.parametrize("held_out", [[], [HELD_OUT]])
def test_in_training_the_own_episode_and_those_held_out_have_no_say(tiny: TinyWorld, held_out: list[int]) -> None:
    policy = tiny.policy(MODE, world_held_out=held_out)
    rows, frames = standardised(tiny, policy), list(range(45))
    memory = memory_of(policy, frames)
    for frame in frames:
        own = next(number for number, (start, end) in enumerate(EPISODES) if start <= frame < end)
        allowed = tuple(number for number in range(3) if number not in (own, *held_out))
        assert np.array_equal(memory[frame, 0], expected(rows, rows[frame], allowed))
    for size in (1, 4):
        parts = [memory_of(policy, frames[at : at + size]) for at in range(0, 45, size)]
        assert torch.equal(torch.cat(parts), memory)


def test_a_rollout_of_a_moved_checkpoint_may_read_every_training_episode(tiny: TinyWorld, tmp_path: Path) -> None:
    """It brings what it looks up, so that it needs neither dataset nor latents."""
    first = trained(tiny, MODE, tmp_path / "one")
    moved = shutil.move(first, tmp_path / "elsewhere")
    loaded = load_policy(moved, memory_mode=MODE, num_steps=2)
    policy = loaded._policy
    assert policy._latents is None
    known = standardised(tiny, policy)
    seen: list[torch.Tensor | None] = []
    held = policy.world.held
    policy.world.held = lambda memory: (seen.append(memory), held(memory))[1]
    for frame in (0, 13, 20, 44):  # of training episodes, too: in a rollout nothing is its own
        history = torch.from_numpy(np.load(tiny.latents / "latents.npy").astype(np.float32))[[frame] * CONTEXT][None]
        policy.predict_action_chunk({**tiny.observation(frame), WORLD_HISTORY: history})
        made = seen.pop()
        assert made is not None
        assert np.array_equal(made[0, 0], expected(known, known[frame], (0, 2)))
    assert (policy.config.world_bank_frames, policy.config.world_bank_episodes) == (30, 2)
    file = tmp_path / "elsewhere" / "model.safetensors"
    plain = trained(tiny, "persistence", tmp_path / "plain") / "model.safetensors"
    # 2 bytes a number, and two indices of 8 per episode; headers differ by some 300 bytes.
    assert 0 < file.stat().st_size - plain.stat().st_size - (30 * LATENT_DIM * 2 + 2 * 2 * 8) < 600


def test_another_checkpoint_is_given_what_it_was_trained_on(tiny: TinyWorld, tmp_path: Path) -> None:
    checkpoint = trained(tiny, "pred", tmp_path / "pred")
    with pytest.raises(UserError, match=r"memory 'nearest_other' is looked up among .* does not carry"):
        load_policy(checkpoint, memory_mode=MODE)
    training = TrainingLatents(Path(tiny.metadata.root), {"image": tiny.latents})
    given = load_policy(checkpoint, memory_mode=MODE, training=training)._policy
    own = load_policy(trained(tiny, MODE, tmp_path / "own"), memory_mode=MODE)._policy
    assert torch.equal(given.world.bank.latents, own.world.bank.latents)
    given.config.world_trained_on = "another"
    with pytest.raises(UserError, match=r"trained on another set \(another\) than .*: give the dataset and latents"):
        given.take_bank(training.open_for(given.config))


def test_it_goes_on_with_what_it_began_with(tiny: TinyWorld, tmp_path: Path) -> None:
    checkpoint = trained(tiny, MODE, tmp_path / "one")
    policy, again = (tiny.load(checkpoint).train() for _ in range(2))
    before = policy.world.bank
    loss = policy(tiny.batch(0, 44))[0]
    assert policy.world.bank is before
    assert torch.equal(loss, again(tiny.batch(0, 44))[0])


@pytest.mark.parametrize("held_out", [[], [HELD_OUT]])
def test_offline_the_own_episode_has_no_say_either(tiny: TinyWorld, tmp_path: Path, held_out: list[int]) -> None:
    """Where episodes were held out they are judged, and look up all that was trained on."""
    policy = tiny.policy(MODE, world_held_out=held_out, world_gate_init=0.5).train()
    policy(tiny.batch(0, 44))
    policy.save_pretrained(tmp_path)
    for file in tiny.base.glob("policy_*processor*"):
        shutil.copyfile(file, tmp_path / file.name)
    result = offline.evaluate_offline(tmp_path, Path(tiny.metadata.root), tiny.folders)
    assert result["held_out"] == bool(held_out)
    figures = result["memories"]
    assert {MODE, "pred", "oracle"} <= figures.keys()
    assert figures[MODE]["action_rmse"] != figures["oracle"]["action_rmse"]  # which its own episode would have given
    assert (
        MODE
        not in offline.evaluate_offline(
            trained(tiny, "pred", tmp_path / "pred"), Path(tiny.metadata.root), tiny.folders
        )["memories"]
    )
