"""A world that no linear map foresees: balls that bounce between walls and pass behind a bar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.tiny_dataset import write_dataset

PIXELS = 64
BALLS = ((230, 60, 50), (60, 200, 80), (70, 110, 240))
RADIUS = 0.09
BAR = (0.42, 0.58)  # of the picture's width, in front of the balls
SPEED = (0.035, 0.06)  # of the picture's width per frame


def balls(length: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Pictures uint8 [PIXELS, PIXELS, 3] of one episode."""
    rows, columns = np.mgrid[0:PIXELS, 0:PIXELS] / PIXELS
    place = rng.uniform(RADIUS, 1 - RADIUS, (len(BALLS), 2))
    angle = rng.uniform(0, 2 * np.pi, len(BALLS))
    speed = rng.uniform(*SPEED, (len(BALLS), 1)) * np.stack([np.cos(angle), np.sin(angle)], 1)
    for _ in range(length):
        picture = np.full((PIXELS, PIXELS, 3), 30.0)
        for (row, column), colour in zip(place, BALLS, strict=True):
            inside = (rows - row) ** 2 + (columns - column) ** 2 < RADIUS**2
            picture[inside] = colour
        picture[:, int(BAR[0] * PIXELS) : int(BAR[1] * PIXELS)] = 110
        yield picture.astype(np.uint8)
        place = place + speed
        for low, wall in ((True, RADIUS), (False, 1 - RADIUS)):
            out = place < wall if low else place > wall
            place = np.where(out, 2 * wall - place, place)
            speed = np.where(out, -speed, speed)


def write_balls(folder: Path, episodes: int, frames: int, seed: int = 0) -> Path:
    """A LeRobotDataset of them, with the camera ``image``."""
    picture = {"dtype": "image", "shape": (PIXELS, PIXELS, 3), "names": ["height", "width", "channel"]}
    column = "observation.images.image"

    def episode(number: int) -> Iterator[dict[str, Any]]:
        rng = np.random.default_rng([seed, number])
        return ({column: each, "task": "watch the balls"} for each in balls(frames, rng))

    return write_dataset(folder, {column: picture}, map(episode, range(episodes)))
