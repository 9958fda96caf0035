"""What the models of the discrete line learn of actions; of the world they learn by its targets."""

from __future__ import annotations

import torch
from torch import Tensor

from world_modality.memory.target import at_least_one, mean_over_processes

Rows = tuple[Tensor, Tensor]
"""A sum per sample [B], and how many numbers are in it [B]."""


def action_errors(actions: Tensor, wanted: Tensor, padded: Tensor) -> Rows:
    """Squared errors of chunks [B, H, A] in normalised units; ``padded`` bool [B, H] lie past the episode's end."""
    errors = (actions.float() - wanted.float()).square().mean(-1) * ~padded
    return errors.sum(1), (~padded).sum(1)


def mean_of(rows: Rows, *, shared: bool) -> Tensor:
    """Over all that counts, of a batch that all processes of a training share if ``shared``; 0 of nothing."""
    total, counted = rows
    count = counted.sum()
    return total.sum() / at_least_one(mean_over_processes(count) if shared else count)


def mean_per_sample(rows: Rows) -> Tensor:
    """[B]; 0 of nothing."""
    total, counted = rows
    return total / torch.clamp_min(counted, 1)
