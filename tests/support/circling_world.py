"""A world whose future decides the action, and whose present does not tell it.

A latent circles at phase p with a speed of +1 or -1 eighths of a half turn per frame, by turns of episodes. A frame's
action is read off the latent four frames ahead, cos(p +- pi/2 + j pi/7) = -+ sin(p + j pi/7): the present latent leaves
its sign open, two latents in order settle it. Pictures, state and instruction are always the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from support.tiny_dataset import TASKS, libero_features
from support.tiny_policy import ENCODER, LATENT_DIM, PICTURE, TinyWorld, save_tiny_base, tiny_config

from world_modality.data.episodes import dataset_fingerprint
from world_modality.latents.cache import write_cache

EPISODES, FRAMES, HELD_OUT = 80, 30, 12
SPEED, AHEAD = np.pi / 8, 4
HORIZON = 10  # AHEAD + chunk_size: the memory reaches as far as the chunk's last action
FROZEN = {"freeze_vision_encoder": True, "train_expert_only": True}


def phases(rng: np.random.Generator) -> np.ndarray:
    """[EPISODES, FRAMES + AHEAD]."""
    turn = np.where(np.arange(EPISODES) % 2, 1, -1)[:, None]
    return rng.uniform(0, 2 * np.pi, (EPISODES, 1)) + turn * SPEED * np.arange(FRAMES + AHEAD)


def build_circling_world(root: Path, seed: int = 0) -> TinyWorld:
    """Dataset, latents and a base policy of random weights below ``root``."""
    rng = np.random.default_rng(seed)
    phase = phases(rng)
    data = LeRobotDataset.create(
        "local/circle", fps=10, features=libero_features(PICTURE), root=root / "dataset", use_videos=False
    )
    grey = np.full((PICTURE, PICTURE, 3), 128, np.uint8)
    for episode in phase:
        for t in range(FRAMES):
            frame = {  # the same pictures and state in every frame: nothing to recognise an episode by
                "observation.images.image": grey,
                "observation.images.image2": grey,
                "observation.state": np.zeros(8, np.float32),
                "action": np.cos(episode[t + AHEAD] + np.arange(7) * np.pi / 7).astype(np.float32),
                "task": TASKS[0],
            }
            data.add_frame(frame)
        data.save_episode()
    data.finalize()
    _write_latents(root, phase, rng)
    plain = LeRobotDataset("local/circle", root=root / "dataset")
    steps = resolve_delta_timestamps(tiny_config(), plain.meta)
    base = save_tiny_base(root / "base", plain.meta.stats, **FROZEN)
    return TinyWorld(
        root, base, root / "latents", LeRobotDataset("local/circle", root=root / "dataset", delta_timestamps=steps)
    )


def _write_latents(root: Path, phase: np.ndarray, rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(2, LATENT_DIM))
    circle = np.stack([np.cos(phase), np.sin(phase)], -1)[:, :FRAMES]
    latents = (3 + circle @ mixing + 0.02 * rng.normal(size=(EPISODES, FRAMES, LATENT_DIM))).astype(np.float16)
    (root / "latents").mkdir()
    write_cache(
        root / "latents",
        list(latents),
        (EPISODES * FRAMES, LATENT_DIM),
        camera="image",
        encoder=ENCODER,
        dataset_fingerprint=dataset_fingerprint(root / "dataset"),
    )


def every_frame(world: TinyWorld) -> dict[str, Any]:
    """All frames as one preprocessed batch, so that training need not decode pictures again."""
    return world.batch(*range(EPISODES * FRAMES))


def rows(batch: dict[str, Any], index: torch.Tensor) -> dict[str, Any]:
    """Some frames of a batch."""
    return {
        key: value[index] if isinstance(value, torch.Tensor) else [value[i] for i in index.tolist()]
        for key, value in batch.items()
        if isinstance(value, torch.Tensor | list)
    }


def batches(batch: dict[str, Any], steps: int, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Random training batches: frames whose whole future is there, of the episodes that are not held out."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        episode = torch.randint(EPISODES - HELD_OUT, (size,), generator=generator)
        yield rows(batch, episode * FRAMES + torch.randint(FRAMES - HORIZON, (size,), generator=generator))


def explained(policy: Any, batch: dict[str, Any], per_episode: int = 6) -> float:
    """Share of the held-out actions' variance that the policy's chunks explain; 0 is what their mean would."""
    context = policy.config.world_context
    frames = [
        episode * FRAMES + t
        for episode in range(EPISODES - HELD_OUT, EPISODES)
        for t in np.linspace(context, FRAMES - HORIZON - 1, per_episode).astype(int).tolist()
    ]
    index = torch.tensor(frames)
    asked = rows(batch, index)
    lookup = policy._latents
    asked["observation.world_history"] = lookup.history(index, context)
    asked["observation.world_future"] = lookup.window(index, context, HORIZON).future
    noise = torch.randn(
        len(index), policy.config.chunk_size, policy.config.max_action_dim, generator=torch.Generator().manual_seed(0)
    )
    policy.eval()
    with torch.no_grad():
        chunk = policy.predict_action_chunk(asked, noise=noise)
    truth = asked["action"][:, : chunk.shape[1]]
    error = (chunk - truth).square().mean()
    return float(1 - error / truth.var())
