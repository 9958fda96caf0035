"""What a Prophet must beat: predictions that take no learning but least squares, one set per step ahead.

With z_t all tokens of a frame side by side, F = P * W numbers, standardised so that the training episodes' mean is 0,
z_{t+k} is predicted as

    persistence      z_t
    mean reversion   z_t - a_k z_t
    velocity         z_t + b_k (z_t - z_{t-1})
    ridge            z_t + W_k [z_{t-T+1}; ..; z_t; 1], see ridge.py

where a_k, b_k and W_k are the least squares ones on the training episodes' frames whose t+k exists. Some training
episodes choose the ridge's penalty, then all are fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from world_modality.memory.lookup import LatentWindow
from world_modality.memory.ridge import (
    FrameIndices,
    Reading,
    RidgeSums,
    Windows,
    apart,
    best_penalty,
    chunks,
    features,
    ridge,
    together,
)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LatentBaselines:
    """Fitted baselines, float32."""

    reversion: Tensor  # [K]: a_k
    velocity: Tensor  # [K]: b_k
    ridge: Tensor  # [K, T * F + 1, F]; alone: [K, T * W + 1, W]
    penalties: tuple[float, ...]  # of the ridge, per k
    alone: bool = False  # whether each token was foreseen from its own place alone

    def predict(self, history: Tensor) -> dict[str, Tensor]:
        """Standardised history [B, T, P, W] ending at t -> by name z_{t+1..t+K} as predicted, each [B, K, P, W]."""
        if self.alone and history.shape[2] > 1:
            alone = self.predict(apart(history))
            return {name: together(each, history.shape[2]) for name, each in alone.items()}
        tokens = history.shape[2:]
        history = history.flatten(2)
        now = history[:, -1, None]
        step = _velocity(history)[:, None]
        change = torch.einsum("bf,kfw->bkw", features(history), self.ridge)
        predicted = {
            "persistence": now.expand_as(change),
            "mean_reversion": now - self.reversion[:, None] * now,
            "velocity": now + self.velocity[:, None] * step,
            "ridge": now + change,
        }
        return {name: each.reshape(*each.shape[:2], *tokens) for name, each in predicted.items()}

    def facts(self) -> dict[str, Any]:
        """The coefficients per k, as JSON values."""
        return {
            "mean_reversion": [round(value, 4) for value in self.reversion.tolist()],
            "velocity": [round(value, 4) for value in self.velocity.tolist()],
            "ridge_penalty": list(self.penalties),
            **({"ridge_reads": "each token alone"} if self.alone else {}),
        }


def fit_baselines(windows: Windows, frames: FrameIndices, ahead: FrameIndices, choosing: Mask) -> LatentBaselines:
    """Fit on ``frames`` [n], of which ``ahead`` [n] future frames exist, 1 to K; ``choosing`` [n] choose the penalty.

    Normal equations in float64, summed over chunks of frames. Frames with a longer future serve the shorter steps
    too, so K is fitted first and one matrix of squared features grows from step to step.
    """
    tokens = windows(frames[:1]).history.shape[2]
    reading = Reading.of(windows, frames)
    parts = (_Sums.empty(reading), _Sums.empty(reading))
    one, other = parts
    maps: list[Tensor] = []
    penalties: list[float] = []
    for k in range(reading.first.future.shape[1], 0, -1):
        for part, rows in zip(parts, (~choosing, choosing), strict=True):
            for chunk in chunks(frames[rows & (ahead == k)], tokens):
                part.add(reading.windows(chunk), k)
        penalties.insert(0, best_penalty([one.ridge], other.ridge, k))
        maps.insert(0, reading.whole(ridge([one.ridge, other.ridge], k, penalties[0])).float())
    return LatentBaselines(
        _ratio(one.reverting + other.reverting, one.lengths + other.lengths).float(),
        _ratio(one.following + other.following, one.steps + other.steps).float(),
        torch.stack(maps),
        tuple(penalties),
        reading.alone,
    )


@dataclass
class _Sums:
    """Sums over frames, float64, from which every baseline follows."""

    ridge: RidgeSums
    reverting: Tensor  # [K]: <change, -z_t>
    lengths: Tensor  # [K]: <z_t, z_t>
    following: Tensor  # [K]: <change, velocity>
    steps: Tensor  # [K]: <velocity, velocity>

    @classmethod
    def empty(cls, reading: Reading) -> _Sums:
        """Of no frames."""
        sums = RidgeSums.empty(reading)
        return cls(sums, *(torch.zeros_like(sums.still) for _ in range(4)))

    def add(self, window: LatentWindow, ahead: int) -> None:
        """Take in frames whose next ``ahead`` frames exist, and no more."""
        history = window.history.flatten(2).double()
        now = history[:, -1]
        change = window.future[:, :ahead].flatten(2).double() - now[:, None]
        step = _velocity(history)
        self.ridge.add(history, change)
        self.reverting[:ahead] -= (change * now[:, None]).sum((0, 2))
        self.following[:ahead] += (change * step[:, None]).sum((0, 2))
        self.lengths[:ahead] += now.square().sum()
        self.steps[:ahead] += step.square().sum()


def _velocity(history: Tensor) -> Tensor:
    """z_t - z_{t-1} [B, F]; 0 where the history is but one frame long."""
    return history[:, -1] - history[:, -min(2, history.shape[1])]


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """``above / below``, 0 where nothing is below."""
    return torch.where(below > 0, above / below.clamp_min(torch.finfo(below.dtype).tiny), 0)
