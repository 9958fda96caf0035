"""A small LeRobotDataset with the public LIBERO set's features, made of numpy pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

TASKS = ("pick up the black bowl and place it on the plate", "open the middle drawer of the cabinet")


def libero_features(size: int) -> dict[str, dict[str, Any]]:
    """The public LIBERO set's features, with square pictures of ``size`` pixels."""
    picture = {"dtype": "image", "shape": (size, size, 3), "names": ["height", "width", "channel"]}
    return {
        "observation.images.image": picture,
        "observation.images.image2": picture,
        "observation.state": {"dtype": "float32", "shape": (8,), "names": {"motors": [f"s{i}" for i in range(8)]}},
        "action": {"dtype": "float32", "shape": (7,), "names": {"motors": [f"a{i}" for i in range(7)]}},
    }


def picture(rng: np.random.Generator, size: int, position: np.ndarray, noise: int) -> np.ndarray:
    """uint8 [size, size, 3]: a table, a dark blob at ``position`` in [0,1]^2, pixel noise up to ``noise``."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    blob = np.exp(-((rows - position[0]) ** 2 + (columns - position[1]) ** 2) / 0.02)
    table = np.stack([150 + 60 * rows, 120 + 50 * columns, 90 + 40 * rows * columns], axis=-1) * (
        1 - 0.8 * blob[..., None]
    )
    return np.clip(table + rng.integers(-noise, noise + 1, table.shape), 0, 255).astype(np.uint8)


def build_tiny_dataset(
    root: Path, *, episodes: int = 3, frames: int = 14, size: int = 32, seed: int = 0, noise: int = 4
) -> Path:
    """Write a LeRobotDataset v3 of ``episodes`` x (``frames`` + episode number) frames at ``root`` and return it."""
    rng = np.random.default_rng(seed)
    return write_dataset(
        root,
        libero_features(size),
        (_frames(rng, episode, frames + episode, size, noise) for episode in range(episodes)),
    )


def write_dataset(
    root: Path,
    features: dict[str, dict[str, Any]],
    episodes: Iterable[Iterable[dict[str, Any]]],
    *,
    videos: bool = False,
) -> Path:
    """Let LeRobot write a dataset of ``episodes``, whose frames hold a value per feature and their "task"."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    threads = 0 if videos else 2
    dataset = LeRobotDataset.create(
        "local/tiny", fps=10, features=features, root=root, use_videos=videos, image_writer_threads=threads
    )
    with same_scheduling():
        for frames in episodes:
            for frame in frames:
                dataset.add_frame(frame)
            dataset.save_episode()
        dataset.finalize()
    return root


@contextmanager
def same_scheduling() -> Iterator[None]:
    """SVT-AV1, which LeRobot encodes videos with, makes root's thread that starts it a real-time one, and so all that
    it starts from then on: other processes of the machine get what they leave."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _frames(rng: np.random.Generator, episode: int, count: int, size: int, noise: int) -> Iterator[dict[str, Any]]:
    """A hand that moves to a goal."""
    goal = rng.uniform(0.2, 0.8, 2)
    place = rng.uniform(0.2, 0.8, 2)
    for _ in range(count):
        action = np.zeros(7, np.float32)
        action[:2] = np.clip(goal - place, -0.2, 0.2) * 5
        action[6] = np.sign(goal[0] - place[0])
        state = np.concatenate([place, goal, rng.normal(size=4)]).astype(np.float32)
        yield {
            "observation.images.image": picture(rng, size, place, noise),
            "observation.images.image2": picture(rng, size, goal, noise),
            "observation.state": state,
            "action": action,
            "task": TASKS[episode % len(TASKS)],
        }
        place = place + 0.04 * action[:2] + rng.normal(scale=0.01, size=2)
