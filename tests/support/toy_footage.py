"""Reels of a world that takes no simulator: a bright dot wanders over a dim texture, and is the only thing there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from world_modality.data.frames import encode_png
from world_modality.pretraining.specs import NetworkSpec
from world_modality.pretraining.takes import EPISODES, Take, TakeInfo, write_take

SIZE = 32
SMALL = NetworkSpec(
    image_size=SIZE,
    frames=4,
    patch=8,
    hidden=24,
    layers=2,
    heads=2,
    mlp_ratio=2,
    deviation=0.02,
    predictor_hidden=16,
    predictor_layers=1,
    predictor_heads=2,
)


def toy_take(seed: int, *, task: int = 0, shots: int = 3, frames: int = 6, camera: str = "image") -> Take:
    """An episode whose dot and whose hand move on a line; the dot is where the hand is."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    texture = np.random.default_rng(1000 + task).integers(0, 60, (SIZE, SIZE, 3))
    start, step = rng.uniform(0.3, 0.7, 2), rng.normal(scale=0.02, size=2)
    places = np.clip(start + np.arange(shots * frames)[:, None] * step, 0.05, 0.95)
    dots = [np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 0.01) for row, column in places]
    pictures = [np.clip(texture + 190 * dot[..., None], 0, 255).astype(np.uint8) for dot in dots]
    where = np.concatenate([places, np.zeros((len(places), 1))], axis=1).astype(np.float32)
    return Take(
        info=TakeInfo("libero_spatial", task, "move the dot", seed, "wandering", False, ("dot", "stone"), 20),
        pictures=tuple(map(encode_png, pictures)),
        cameras=(camera,) * len(places),
        shots=np.repeat(np.arange(shots), frames),
        hand=where,
        opening=where[:, 0] / 10,
        places=np.stack([where, np.full_like(where, 0.5)], axis=1),
        touched=np.stack([where[:, 0] > 0.5, np.zeros(len(where), bool)], axis=1),
    )


def toy_reel(folder: Path, episodes: int, *, task: int = 0) -> Path:
    """A footage stage's artifact."""
    for number in range(episodes):
        take = toy_take(100 * task + number, task=task)
        write_take(folder / EPISODES / f"take_{number:05d}.parquet", take)
    return folder
