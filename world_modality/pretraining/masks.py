"""Multi-block masks of V-JEPA: what of a clip the encoder sees, and what is to be foretold from that.

A mask hides rectangles of the picture through the whole clip, so that nothing of them can be copied from another time.
Bardes et al.: Revisiting Feature Prediction for Learning Visual Representations from Video, 2024, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
ASPECTS = (0.75, 1.5)  # height over width of a rectangle
LEAST_SEEN = 0.05  # share of the tokens that are left to the encoder


@dataclass(frozen=True)
class Blocks:
    """So many rectangles of such a share of the picture, which may overlap."""

    count: int
    share: float


KINDS = (Blocks(8, 0.15), Blocks(2, 0.7))
"""The short-range and the long-range mask; a batch is trained on one of them."""


def draw_masks(rng: np.random.Generator, batch: int, side: int, times: int, blocks: Blocks) -> tuple[Indices, Indices]:
    """Numbers of the tokens that are seen [batch, V] and that are hidden and foretold [batch, H], both rising.

    Tokens are numbered time by time and row by row, as V-JEPA 2 does. In a batch all clips have equally many: the least
    that one of them has, of the others a random choice. The rectangles of a batch have one size.
    """
    aspect = rng.uniform(*ASPECTS)
    area = blocks.share * side**2
    height = int(np.clip(round(np.sqrt(area * aspect)), 1, side))
    width = int(np.clip(round(np.sqrt(area / aspect)), 1, side))
    hidden = np.stack([_hidden(rng, side, height, width, blocks.count) for _ in range(batch)])
    return _equally_many(rng, ~hidden, times), _equally_many(rng, hidden, times)


def _hidden(rng: np.random.Generator, side: int, height: int, width: int, count: int) -> NDArray[np.bool_]:
    """Which places [side * side] some rectangles cover; drawn again where they leave too little."""
    while True:
        covered = np.zeros((side, side), np.bool_)
        for _ in range(count):
            top, left = rng.integers(side - height + 1), rng.integers(side - width + 1)
            covered[top : top + height, left : left + width] = True
        if (~covered).mean() >= LEAST_SEEN:
            return covered.ravel()


def _equally_many(rng: np.random.Generator, rows: NDArray[np.bool_], times: int) -> Indices:
    """Tokens [batch, times * count] at marked places of ``rows`` [batch, side * side], at all times."""
    count = int(rows.sum(axis=1).min())
    places = np.stack([np.sort(rng.permutation(np.flatnonzero(row))[:count]) for row in rows])
    tokens: Indices = (np.arange(times)[:, None] * rows.shape[1] + places[:, None]).reshape(len(rows), -1)
    return tokens
