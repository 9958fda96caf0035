"""Ridge regression of latents to come on latents seen, in closed form, from sums over frames.

With x_t = [z_{t-T+1}; ..; z_t; 1], all R = T * F + 1 numbers of a history of T frames of F = P * W numbers, and
d_k = z_{t+k} - z_t, standardised, the map W_k [R, F] minimises

    sum_t |d_k - x_t W_k|^2 + penalty * n * |W_k but for the constant's row|^2

over the n frames t whose t+k exists. Time and memory grow with R to the third and second power. Two things bound them:

- Where the frames are at most ``FEW_FRAMES`` times the numbers of a history, W_k is found in an orthonormal basis of
  what the histories span, in which it lies but for the constant's row.
- Where T * F is more than ``WIDEST``, as of fine grids, every token is foreseen from the T tokens at its own place, by
  one W_k for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from world_modality.memory.lookup import LatentWindow

FrameIndices = npt.NDArray[np.int64]
Windows = Callable[[FrameIndices], LatentWindow]
"""The standardised latents around some frames."""

PENALTIES = tuple(10.0**power for power in range(-4, 4))  # per frame; 1 is as much as a standardised number's variance
USUAL_PENALTY = 1.0  # where no episode is left to choose by
CHUNK = 1024  # frames at a time: bounds the memory of their float64 histories and futures
FEW = 4  # tokens of a frame up to which that holds; of more, as many fewer frames
FEW_FRAMES = 0.75  # per number of a history: up to which a basis of what the histories span is worth its making
WIDEST = 25_000  # numbers that a ridge reads: their squares take 5 GB


@dataclass(frozen=True)
class Reading:
    """How a ridge reads histories."""

    windows: Windows
    first: LatentWindow
    """The window of the first frame, in the shape of all."""
    alone: bool
    """Whether each token is a frame of its own."""
    basis: Tensor | None
    """Orthonormal columns, float64 [T * F, n], that span the histories of few frames; None if there are more."""

    @classmethod
    def of(cls, windows: Windows, frames: FrameIndices) -> Reading:
        """For ridges on ``frames`` or some of them."""
        first = windows(frames[:1])
        tokens = first.history.shape[2]
        alone = first.history.shape[1:].numel() > WIDEST
        if alone:
            windows, first = partial(each_alone, windows), each_alone(windows, frames[:1])
        rows, numbers = len(frames) * len(first.history), first.history.shape[1:].numel()
        if not 0 < rows <= FEW_FRAMES * numbers:
            return cls(windows, first, alone, None)
        histories = [windows(chunk).history.flatten(1).double() for chunk in chunks(frames, tokens)]
        return cls(windows, first, alone, torch.linalg.qr(torch.cat(histories).T).Q)

    def features(self, history: Tensor) -> Tensor:
        """x_t, in the basis if there is one: float64 [B, T, F] -> [B, R]."""
        return features(history if self.basis is None else (history.flatten(1) @ self.basis)[:, None])

    def whole(self, weights: Tensor) -> Tensor:
        """Weights of such features [.., R, r] as weights of a whole history and the constant [.., T * F + 1, r]."""
        if self.basis is None:
            return weights
        return torch.cat([self.basis @ weights[..., :-1, :], weights[..., -1:, :]], dim=-2)


@dataclass
class RidgeSums:
    """Sums over frames, float64, from which the ridge of every step ahead follows."""

    reading: Reading
    count: int
    squares: Tensor  # [R, R], of the frames that were added so far
    products: Tensor  # [K, R, F]: features times change; complete for k once its frames are in
    still: Tensor  # [K]: |d_k|^2, the squared error of persistence

    @classmethod
    def empty(cls, reading: Reading) -> RidgeSums:
        """Of no frames."""
        first = reading.first
        prediction_horizon, width = first.future.flatten(2).shape[1:]
        size = reading.features(first.history.flatten(2).double()).shape[1]

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=first.history.device)

        return cls(reading, 0, zeros(size, size), zeros(prediction_horizon, size, width), zeros(prediction_horizon))

    def add(self, history: Tensor, change: Tensor) -> None:
        """Take in frames of which the same number of future frames exists.

        Args:
            history: float64 [n, T, F].
            change: d_1..d_j, float64 [n, j, F].
        """
        read = self.reading.features(history)
        self.count += len(read)
        self.squares += read.T @ read
        for step in range(change.shape[1]):
            self.products[step] += read.T @ change[:, step]
        self.still[: change.shape[1]] += change.square().sum((0, 2))

    def excess(self, k: int, weights: Tensor) -> float:
        """The squared error of ``weights`` [R, F] minus that of persistence, over the frames."""
        return float((weights * (self.squares @ weights - 2 * self.products[k - 1])).sum())


def ridge(parts: Sequence[RidgeSums], k: int, penalty: float) -> Tensor:
    """W_k [R, F] of all ``parts`` together; zeros if they hold no frames."""
    count = sum(part.count for part in parts)
    products = torch.stack([part.products[k - 1] for part in parts]).sum(0)
    if not count:
        return products
    squares = squares_of(parts)
    squares.diagonal()[:-1] += penalty * count  # the constant, last, is free
    return torch.cholesky_solve(products, torch.linalg.cholesky(squares))


def squares_of(parts: Sequence[RidgeSums]) -> Tensor:
    """[R, R] of all ``parts`` together, a copy."""
    squares = parts[0].squares.clone()
    for part in parts[1:]:
        squares += part.squares
    return squares


def best_penalty(fitting: Sequence[RidgeSums], choosing: RidgeSums, k: int) -> float:
    """That of ``PENALTIES`` whose ridge on ``fitting`` errs least on ``choosing``."""
    if not (sum(part.count for part in fitting) and choosing.count):
        return USUAL_PENALTY
    return min(PENALTIES, key=lambda penalty: choosing.excess(k, ridge(fitting, k, penalty)))


def features(history: Tensor) -> Tensor:
    """x_t: [B, T, F] -> [B, T * F + 1]."""
    return torch.cat([history.flatten(1), history.new_ones(len(history), 1)], dim=1)


def each_alone(windows: Windows, frames: FrameIndices) -> LatentWindow:
    """The windows of every token by itself, as if each were a frame of one token."""
    found = windows(frames)
    tokens = found.history.shape[2]
    return LatentWindow(apart(found.history), apart(found.future), found.valid.repeat_interleave(tokens, 0))


def apart(latents: Tensor) -> Tensor:
    """[B, T, P, W] -> [B * P, T, 1, W]."""
    return latents.transpose(1, 2).flatten(0, 1)[:, :, None]


def together(latents: Tensor, tokens: int) -> Tensor:
    """[B * P, K, 1, W] -> [B, K, P, W]."""
    return latents[:, :, 0].view(-1, tokens, latents.shape[1], latents.shape[3]).transpose(1, 2)


def chunks(frames: FrameIndices, tokens: int) -> Iterator[FrameIndices]:
    """``CHUNK`` frames at a time, or as many fewer as they have more tokens than ``FEW``."""
    size = max(1, CHUNK * FEW // max(FEW, tokens))
    return (frames[start : start + size] for start in range(0, len(frames), size))
