"""The linear part of a Prophet: a map of reduced rank from the latents seen to how they will have changed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from world_modality.memory.attachment import ProphetSizes
from world_modality.memory.ridge import WIDEST, apart, features, together


class LinearPart(nn.Module):
    """z_{t+k} - z_t as x_t ``read``_k ``write``_k, of rank ``sizes.rank``; zero until it is given a ridge's factors.

    What x_t is, and when each token is foreseen from its own place alone, is in ridge.py.
    """

    def __init__(self, sizes: ProphetSizes) -> None:
        super().__init__()
        self.alone = sizes.tokens > 1 and sizes.context * sizes.tokens * sizes.dim > WIDEST
        width = sizes.dim if self.alone else sizes.tokens * sizes.dim
        steps = sizes.prediction_horizon
        self.read = nn.Parameter(torch.zeros(steps, sizes.context * width + 1, sizes.rank))
        self.write = nn.Parameter(torch.zeros(steps, sizes.rank, width))

    def forward(self, history: Tensor) -> Tensor:
        """Standardised history [B, T, P, W] ending at t -> change [B, K, P, W] from z_t to z_{t+1..t+K}."""
        return linear_change(history, self.read, self.write, alone=self.alone)


def linear_change(history: Tensor, read: Tensor, write: Tensor, *, alone: bool) -> Tensor:
    """x_t ``read``_k ``write``_k of standardised history [B, T, P, W]: [B, K, P, W].

    ``read`` is [K, R, r] and ``write`` [K, r, F], those of one token's place if each is foreseen ``alone``.
    """
    tokens = history.shape[2]
    seen = apart(history) if alone else history
    change = torch.einsum("bkq,kqf->bkf", torch.einsum("br,krq->bkq", features(seen.flatten(2)), read), write)
    change = change.view(*change.shape[:2], *seen.shape[2:])
    return together(change, tokens) if alone else change
