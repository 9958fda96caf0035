"""Small pictures for floor, wall and table, drawn here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZE = 64
LEVELS = 16  # few distinct values compress well


def light_wood() -> NDArray[np.uint8]:
    """Pale wood with a grain along one axis, uint8 [64, 64, 3]; tiles without a seam."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 2 * np.pi, SIZE, endpoint=False)
    grain = sum(np.sin(k * across[:, None] + rng.uniform(0, 2 * np.pi)) / k for k in (3, 7, 11, 17))
    sway = 0.35 * np.sin(across)[None, :]
    return _tinted(grain + sway, (198, 181, 162), strength=3.0)


def floor_tile() -> NDArray[np.uint8]:
    """One grey tile with a darker joint, uint8 [64, 64, 3]."""
    tone = np.zeros((SIZE, SIZE))
    tone[:2, :] = tone[:, :2] = -8.0
    return _tinted(tone, (195, 186, 177), strength=3.0)


def plaster() -> NDArray[np.uint8]:
    """Nearly even light grey, uint8 [64, 64, 3]."""
    tone = np.random.default_rng(1).normal(size=(SIZE // 8, SIZE // 8)).repeat(8, 0).repeat(8, 1)
    return _tinted(tone, (222, 218, 212), strength=0.6)


def _tinted(tone: NDArray[np.float64], colour: tuple[int, int, int], strength: float) -> NDArray[np.uint8]:
    """Shift a colour by ``strength`` grey levels per episode of tone, in few steps."""
    span = max(float(np.abs(tone).max()), 1e-9)
    steps = np.round(tone / span * (LEVELS // 2)) / (LEVELS // 2) * span
    picture = np.asarray(colour)[None, None, :] + strength * steps[:, :, None]
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
