"""How well each frame ahead was foreseen: the figures by which predictors are compared."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from world_modality.memory.score import SMALLEST_CHANGE

Figures = dict[str, list[float | None]]
"""Figure -> its value for k = 1..K, None where there is nothing to measure."""


class Foresight:
    """Sums of every predictor's figures over batches of frames, in float64.

    Per step ahead k, over the tokens of the frames t whose t+k exists, z standardised and z' its prediction:

        cosine          mean of cos(z'_{t+k}, z_{t+k})
        change_cosine   mean of cos(z'_{t+k} - z_t, z_{t+k} - z_t), over the tokens that changed; a
                        prediction of no change scores 0
        skill           1 - MSE / MSE of persistence: 1 is perfect, 0 no better than to expect no change
    """

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        self._sums: dict[str, Tensor] = {}  # predictor -> [3, K]: squared error, cosine, cosine of the change
        self._still = torch.zeros(horizon, dtype=torch.float64)  # squared error of persistence
        self._frames = torch.zeros(horizon, dtype=torch.float64)
        self._counts = torch.zeros(2, horizon, dtype=torch.float64)  # tokens, tokens that changed

    def add(self, predictions: Mapping[str, Tensor], now: Tensor, future: Tensor, valid: Tensor) -> None:
        """Take in a batch: predictions [B, N, K, P, W] by name, z_t [B, P, W], z_{t+1..t+K} [B, K, P, W], valid [B, K].

        Of N hypotheses each figure is the mean.
        """
        change = future - now[:, None]
        there = valid[..., None].expand(change.shape[:-1])  # [B, K, P]
        moved = there & (change.norm(dim=-1) > SMALLEST_CHANGE)
        self._frames += valid.double().sum(0).cpu()
        self._counts += torch.stack([_total(torch.ones_like(there), counted) for counted in (there, moved)])
        self._still += _total(change.square().mean(-1), there)
        for name, prediction in predictions.items():
            guess = prediction - now[:, None, None]
            figures = (
                _total((prediction - future[:, None]).square().mean(-1).mean(1), there),
                _total(F.cosine_similarity(prediction, future[:, None], dim=-1).mean(1), there),
                _total(F.cosine_similarity(guess, change[:, None].expand_as(guess), dim=-1).mean(1), moved),
            )
            self._sums[name] = self._sums.get(name, 0) + torch.stack(figures)

    @property
    def frames(self) -> list[int]:
        """How many frames each step ahead was measured on, for k = 1..K."""
        return [int(count) for count in self._frames]

    def figures(self, digits: int = 4) -> dict[str, Figures]:
        """By predictor, rounded to ``digits`` decimals."""
        tokens, moved = self._counts
        return {
            name: {
                "cosine": _rounded(cosine, tokens, digits),
                "change_cosine": _rounded(change_cosine, moved, digits),
                "skill": _rounded(self._still - error, self._still, digits),
            }
            for name, (error, cosine, change_cosine) in self._sums.items()
        }


def best_hypothesis(prediction: Tensor, future: Tensor, valid: Tensor) -> Tensor:
    """Of [B, N, K, P, W] each sample's hypothesis of the least squared error over its frames ahead: [B, 1, K, P, W]."""
    errors = ((prediction - future[:, None]).square().mean(-1).mean(-1) * valid[:, None]).sum(2)
    return prediction[torch.arange(len(prediction), device=prediction.device), errors.argmin(1)][:, None]


def _total(figure: Tensor, counted: Tensor) -> Tensor:
    """Sum over the batch's tokens [B, K, P] -> [K]."""
    return (figure.double() * counted).movedim(-1, 1).flatten(0, 1).sum(0).cpu()


def _rounded(above: Tensor, below: Tensor, digits: int) -> list[float | None]:
    pairs = zip(above.tolist(), below.tolist(), strict=True)
    return [round(a / b, digits) + 0.0 if b > 0 else None for a, b in pairs]  # + 0.0: no negative zero
