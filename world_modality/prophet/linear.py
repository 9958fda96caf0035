"""The linear part of a Prophet: ridge regressions, one per step ahead, of a rank that held-back episodes choose.

A W_k [R, F] of rank r is kept as the product of two factors. Of a ridge's W and the squares S of what it was fitted on,
the product of rank r that predicts closest to W is W V V', V [F, r] being the leading eigenvectors of W' S W
(reduced-rank regression, Izenman 1975). One rank holds for all k: the one whose squared errors on the episodes that
choose, relative to those of persistence and summed over k, are least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from world_modality.memory.ridge import Reading, RidgeSums, Windows, best_penalty, chunks, ridge, squares_of
from world_modality.prophet.episodes import TrainingFrames

RANKS = (8, 16, 32, 64, 128, 256)
SMALL = 1_000_000  # entries of a W_k up to which it may have its full rank


@dataclass(frozen=True)
class Factors:
    """Maps from what a Prophet reads to how the latents will have changed, float32."""

    read: Tensor  # [K, R, r]
    write: Tensor  # [K, r, F]


@dataclass(frozen=True)
class LinearFit:
    """What was fitted."""

    whole: Factors
    """On all training episodes."""
    without: tuple[Factors, ...]
    """By part of the training episodes: what they are predicted by that were not fitted on them. The episodes that
    choose, part 0, are fitted on for none; where only one part is left to fit on, it is predicted by itself."""
    penalties: tuple[float, ...]
    alone: bool
    """Whether each token is foreseen from its own place alone."""

    @property
    def rank(self) -> int:
        """The maps' rank."""
        return self.whole.read.shape[-1]


def parts_for(numbers: int) -> int:
    """Parts that training episodes are cut into beside those that choose, for a ridge that reads so many numbers.

    Each has squares and products of its own: they take 3 GB each with two cameras of 1408 numbers, T = 4 and K = 8.
    """
    return 4 if numbers <= 4096 else 2


def fit_linear(
    windows: Windows, training: TrainingFrames, rank: int | None, tell: Callable[[int, int], None]
) -> LinearFit:
    """Fit the maps; ``rank`` says of which rank, None lets the episodes that choose say it.

    Normal equations in float64. Frames with a longer future serve the shorter steps too, so K is fitted first and one
    matrix of squared features grows from step to step. ``tell`` is given how many of the K are fitted.
    """
    tokens = windows(training.frames[:1]).history.shape[2]
    reading = Reading.of(windows, training.frames)
    sums = [RidgeSums.empty(reading) for _ in range(int(training.part.max()) + 1)]
    choosing, fitting = sums[0], sums[1:]
    steps, _, width = choosing.products.shape
    numbers = reading.first.history.shape[1:].numel()
    most = min(rank or (width if numbers * width <= SMALL else RANKS[-1]), width)
    candidates = sorted({most, *(each for each in RANKS if each < most)}) if rank is None else [most]
    errors = dict.fromkeys(candidates, 0.0)
    penalties: list[float] = []
    found: list[list[tuple[Tensor, Tensor]]] = []
    for k in range(steps, 0, -1):
        for number, part in enumerate(sums):
            rows = (training.part == number) & (training.ahead == k)
            for chunk in chunks(training.frames[rows], tokens):
                window = reading.windows(chunk)
                history = window.history.flatten(2).double()
                part.add(history, window.future[:, :k].flatten(2).double() - history[:, -1:])
        penalty = best_penalty(fitting, choosing, k)
        read, write = factorised(fitting, k, penalty, most)
        for each in candidates:
            errors[each] += choosing.excess(k, read[:, :each] @ write[:each]) / max(1e-12, float(choosing.still[k - 1]))
        others = [[part for part in fitting if part is not left] for left in fitting]
        apart = [factorised(other or fitting, k, penalty, most) for other in others]
        found.insert(0, [factorised(sums, k, penalty, most), (read, write), *apart])
        penalties.insert(0, penalty)
        tell(steps + 1 - k, steps)
    chosen = min(candidates, key=lambda each: errors[each]) if choosing.count else most
    whole, *without = (_stacked(reading, [step[place] for step in found], chosen) for place in range(len(found[0])))
    return LinearFit(whole, tuple(without), tuple(penalties), reading.alone)


def factorised(parts: Sequence[RidgeSums], k: int, penalty: float, rank: int) -> tuple[Tensor, Tensor]:
    """The ridge of ``parts`` as [R, r] and [r, F], float64, r the lesser of ``rank`` and R: cut shorter, it is the best
    of that rank."""
    weights, squares = ridge(parts, k, penalty), squares_of(parts)
    if len(weights) >= weights.shape[1]:
        vectors = _leading(weights.T @ squares @ weights, rank)
    else:  # with S = B B', the leading V of W' S W are those of (B' W)' (B' W): found from the smaller (B' W) (B' W)'
        values, axes = torch.linalg.eigh(squares)
        predicted = values.clamp_min(0).sqrt()[:, None] * (axes.T @ weights)
        vectors = torch.linalg.qr(predicted.T @ _leading(predicted @ predicted.T, rank)).Q
    return weights @ vectors, vectors.T.contiguous()


def _leading(symmetric: Tensor, count: int) -> Tensor:
    """Eigenvectors [n, count] of the greatest eigenvalues, the greatest first."""
    vectors: Tensor = torch.linalg.eigh(symmetric).eigenvectors
    return vectors.flip(1)[:, :count]


def _stacked(reading: Reading, steps: Sequence[tuple[Tensor, Tensor]], rank: int) -> Factors:
    read, write = (torch.stack(each) for each in zip(*steps, strict=True))
    return Factors(reading.whole(read[:, :, :rank]).float(), write[:, :rank].float().contiguous())
