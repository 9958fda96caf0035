"""Episodes of made-up latents, and windows around their frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.latents.windows import EpisodeBounds, future_rows, past_rows
from world_modality.memory.lookup import LatentWindow
from world_modality.prophet.episodes import TrainingFrames

Episode = Callable[[np.random.Generator], NDArray[np.float64]]
"""Draws one episode's latents [frames, P, W]."""


@dataclass(frozen=True)
class LatentEpisodes:
    """Standardised latents [N, P, W] of all episodes, one after the other."""

    latents: NDArray[np.float32]
    bounds: EpisodeBounds
    context: int
    prediction_horizon: int

    @classmethod
    def drawn(cls, draw: Episode, episodes: int, context: int, prediction_horizon: int, seed: int) -> LatentEpisodes:
        """So many episodes, which share one mean and one scale."""
        rng = np.random.default_rng(seed)
        found = [draw(rng) for _ in range(episodes)]
        latents = np.concatenate(found)
        latents = (latents - latents.mean(0)) / latents.std((0, 1))
        ends = np.cumsum([len(each) for each in found])
        starts = np.concatenate([[0], ends[:-1]])
        return cls(latents.astype(np.float32), EpisodeBounds.of(starts, ends), context, prediction_horizon)

    def windows(self, frames: NDArray[np.int64]) -> LatentWindow:
        """As a Prophet is given them."""
        start, end = self.bounds.around(frames)
        future, valid = future_rows(frames, end, self.prediction_horizon)
        history = past_rows(frames, start, self.context)
        seen, came = (torch.from_numpy(self.latents[rows]) for rows in (history, future))
        return LatentWindow(seen, came, torch.from_numpy(valid))

    def training(self, parts: int = 4) -> TrainingFrames:
        """All episodes, to be trained on."""
        return TrainingFrames.of(self.bounds, self.prediction_horizon, parts)


def linear_world(rng: np.random.Generator) -> NDArray[np.float64]:
    """A damped rotation that noise drives: nothing but a linear map foresees it better."""
    angle, state = 0.3, rng.normal(size=(2, 3))
    turn = 0.98 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rows = []
    for _ in range(40):
        state = turn @ state + 0.3 * rng.normal(size=(2, 3))
        rows.append(state.reshape(1, 6).copy())
    return np.array(rows)


def bouncing_world(rng: np.random.Generator) -> NDArray[np.float64]:
    """Points that bounce between walls: where a wall is near, no linear map tells what comes."""
    place, speed = rng.uniform(-1, 1, 4), rng.choice([-1, 1], 4) * rng.uniform(0.15, 0.25, 4)
    rows = []
    for _ in range(60):
        place = place + speed
        out = np.abs(place) > 1
        speed = np.where(out, -speed, speed)
        place = np.where(out, np.sign(place) * (2 - np.abs(place)), place)
        rows.append(place[None].copy())
    return np.array(rows)
