"""What the models of the discrete line learn from, and the figures that tell how well."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Rows = tuple[Tensor, Tensor]
"""A sum per sample [B], and how many numbers are in it [B]."""


def action_errors(actions: Tensor, wanted: Tensor, padded: Tensor) -> Rows:
    """Squared errors of chunks [B, H, A] in normalised units; ``padded`` bool [B, H] lie past the episode's end."""
    errors = (actions.float() - wanted.float()).square().mean(-1) * ~padded
    return errors.sum(1), (~padded).sum(1)


def token_losses(logits: Tensor, tokens: Tensor, valid: Tensor) -> Rows:
    """Cross-entropy in nats of logits [B, K, P, V] and tokens int64 [B, K, P], where ``valid`` bool [B, K]."""
    losses = F.cross_entropy(logits.float().flatten(0, 2), tokens.flatten(), reduction="none")
    losses = losses.reshape(tokens.shape).mean(-1) * valid
    return losses.sum(1), valid.sum(1)


def token_hits(logits: Tensor, tokens: Tensor, valid: Tensor, best: int) -> Rows:
    """Per step ahead, how many true tokens are among the ``best`` likeliest: [K], and of how many: [K]."""
    return token_hits_per_sample(logits, tokens, valid, best).sum(0), valid.sum(0)


def token_hits_per_sample(logits: Tensor, tokens: Tensor, valid: Tensor, best: int) -> Tensor:
    """The same of each sample [B, K]; the mean over its P tokens, 0 where it is not ``valid``."""
    likeliest = logits.topk(min(best, logits.shape[-1]), dim=-1).indices
    return (likeliest == tokens[..., None]).any(-1).float().mean(-1) * valid


def mean_of(rows: Rows) -> Tensor:
    """Over all that counts; 0 of nothing."""
    total, counted = rows
    return total.sum() / counted.sum().clamp_min(1)


def mean_per_sample(rows: Rows) -> Tensor:
    """[B]; 0 of nothing."""
    total, counted = rows
    return total / torch.clamp_min(counted, 1)
