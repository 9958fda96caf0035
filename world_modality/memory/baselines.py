"""What a Prophet must beat: predictions that take no learning but least squares, one set per step ahead.

With z_t all tokens of a frame side by side, F = P * W numbers, standardised so that the training episodes' mean is 0,
z_{t+k} is predicted as

    persistence      z_t
    mean reversion   z_t - a_k z_t
    velocity         z_t + b_k (z_t - z_{t-1})
    ridge            z_t + W_k [z_{t-T+1}; ..; z_t; 1]

where a_k, b_k and W_k are the least squares ones on the training episodes' frames whose t+k exists. W_k is penalised
by its squared entries but for the constant's; some training episodes choose the penalty, then all are fitted. It reads
every token of T frames, so time and memory grow with T * P * W to the third and second power. Where that is more than
``WIDEST``, as of fine grids, the ridge foresees every token from the T tokens at its own place, by one W_k for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from world_modality.memory.lookup import LatentWindow

FrameIndices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Windows = Callable[[FrameIndices], LatentWindow]
"""The standardised latents around some frames."""

PENALTIES = tuple(10.0**power for power in range(-4, 4))  # per frame; 1 is as much as a standardised number's variance
USUAL_PENALTY = 1.0  # where no episode is left to choose by
CHUNK = 1024  # frames at a time: bounds the memory of their float64 histories and futures
FEW = 4  # tokens of a frame up to which that holds; of more, as many fewer frames
WIDEST = 25_000  # numbers that a ridge reads: their squares take 5 GB


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
            alone = self.predict(_apart(history))
            return {name: _together(each, history.shape[2]) for name, each in alone.items()}
        tokens = history.shape[2:]
        history = history.flatten(2)
        now = history[:, -1, None]
        step = _velocity(history)[:, None]
        change = torch.einsum("bf,kfw->bkw", _features(history), self.ridge)
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
    first = windows(frames[:1])
    chunk_size = max(1, CHUNK * FEW // max(FEW, first.history.shape[2]))
    alone = first.history.shape[1:].numel() > WIDEST
    if alone:
        windows, first = partial(_each_alone, windows), _each_alone(windows, frames[:1])
    parts = (_Sums.empty(first), _Sums.empty(first))
    prediction_horizon = first.future.shape[1]
    ridge: list[Tensor] = []
    penalties: list[float] = []
    for k in range(prediction_horizon, 0, -1):
        for part, rows in zip(parts, (~choosing, choosing), strict=True):
            for chunk in _chunks(frames[rows & (ahead == k)], chunk_size):
                part.add(windows(chunk), k)
        penalties.insert(0, _best_penalty(*parts, k))
        ridge.insert(0, _ridge(parts, k, penalties[0]).float())
    one, other = parts
    return LatentBaselines(
        _ratio(one.reverting + other.reverting, one.lengths + other.lengths).float(),
        _ratio(one.following + other.following, one.steps + other.steps).float(),
        torch.stack(ridge),
        tuple(penalties),
        alone,
    )


@dataclass
class _Sums:
    """Sums over frames, float64, from which every baseline follows. R = T * F + 1."""

    count: int
    squares: Tensor  # [R, R], of the frames that were added so far
    products: Tensor  # [K, R, F]: features times change; complete for k once its frames are in
    reverting: Tensor  # [K]: <change, -z_t>
    lengths: Tensor  # [K]: <z_t, z_t>
    following: Tensor  # [K]: <change, velocity>
    steps: Tensor  # [K]: <velocity, velocity>

    @classmethod
    def empty(cls, window: LatentWindow) -> _Sums:
        """Of no frames, in the shape of ``window``."""
        prediction_horizon, width = window.future.flatten(2).shape[1:]
        features = window.history.shape[1] * width + 1

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=window.history.device)

        return cls(
            0,
            zeros(features, features),
            zeros(prediction_horizon, features, width),
            *(zeros(prediction_horizon) for _ in range(4)),
        )

    def add(self, window: LatentWindow, ahead: int) -> None:
        """Take in frames whose next ``ahead`` frames exist, and no more."""
        history = window.history.flatten(2).double()
        now = history[:, -1]
        change = window.future[:, :ahead].flatten(2).double() - now[:, None]
        features, step = _features(history), _velocity(history)
        self.count += len(now)
        self.squares += features.T @ features
        for k in range(ahead):
            self.products[k] += features.T @ change[:, k]
        self.reverting[:ahead] -= (change * now[:, None]).sum((0, 2))
        self.following[:ahead] += (change * step[:, None]).sum((0, 2))
        self.lengths[:ahead] += now.square().sum()
        self.steps[:ahead] += step.square().sum()

    def excess(self, k: int, weights: Tensor) -> float:
        """The squared error of ``weights`` [R, F] minus that of persistence, over the frames."""
        return float((weights * (self.squares @ weights - 2 * self.products[k - 1])).sum())


def _ridge(parts: Sequence[_Sums], k: int, penalty: float) -> Tensor:
    """W_k [R, F] of all ``parts`` together; zeros if they hold no frames."""
    count = sum(part.count for part in parts)
    products = torch.stack([part.products[k - 1] for part in parts]).sum(0)
    if not count:
        return products
    squares = parts[0].squares.clone()
    for part in parts[1:]:
        squares += part.squares
    squares.diagonal()[:-1] += penalty * count  # the constant, last, is free
    return torch.cholesky_solve(products, torch.linalg.cholesky(squares))


def _best_penalty(fitting: _Sums, choosing: _Sums, k: int) -> float:
    if not (fitting.count and choosing.count):
        return USUAL_PENALTY
    return min(PENALTIES, key=lambda penalty: choosing.excess(k, _ridge([fitting], k, penalty)))


def _features(history: Tensor) -> Tensor:
    """[B, T, F] -> [B, T * F + 1]."""
    return torch.cat([history.flatten(1), history.new_ones(len(history), 1)], dim=1)


def _velocity(history: Tensor) -> Tensor:
    """z_t - z_{t-1} [B, F]; 0 where the history is but one frame long."""
    return history[:, -1] - history[:, -min(2, history.shape[1])]


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """``above / below``, 0 where nothing is below."""
    return torch.where(below > 0, above / below.clamp_min(torch.finfo(below.dtype).tiny), 0)


def _each_alone(windows: Windows, frames: FrameIndices) -> LatentWindow:
    """The windows of every token by itself, as if each were a frame of one token."""
    found = windows(frames)
    tokens = found.history.shape[2]
    return LatentWindow(_apart(found.history), _apart(found.future), found.valid.repeat_interleave(tokens, 0))


def _apart(latents: Tensor) -> Tensor:
    """[B, T, P, W] -> [B * P, T, 1, W]."""
    return latents.transpose(1, 2).flatten(0, 1)[:, :, None]


def _together(latents: Tensor, tokens: int) -> Tensor:
    """[B * P, K, 1, W] -> [B, K, P, W]."""
    return latents[:, :, 0].view(-1, tokens, latents.shape[1], latents.shape[3]).transpose(1, 2)


def _chunks(frames: FrameIndices, size: int) -> Iterator[FrameIndices]:
    return (frames[start : start + size] for start in range(0, len(frames), size))
