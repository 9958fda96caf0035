"""What the processes that share a training batch must know of each other's part of it."""

from __future__ import annotations

import torch
import torch.distributed as distributed
from torch import Tensor


def shares_batches() -> bool:
    """Whether this process is one of several of a training that torchrun started."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def mean_over_processes(counts: Tensor) -> Tensor:
    """The mean of ``counts`` over the processes of a training, all of which call this; ``counts`` in a single one.

    Gradients and metrics are averaged over processes. An average of means, each over what is valid in one process's
    part of the batch, is not the mean over the batch, since the parts do not have equally much that is valid. Sums
    divided by this mean count are: with sums s_p and counts n_p of P processes,

        1/P sum_p s_p / (1/P sum_q n_q) = sum_p s_p / sum_q n_q
    """
    if not shares_batches():
        return counts
    total = counts.double()
    distributed.all_reduce(total)
    return total.float() / distributed.get_world_size()


def at_least_one(counts: Tensor) -> Tensor:
    """``counts``, with 1 in place of 0, to divide a sum of nothing by."""
    return torch.where(counts > 0, counts, torch.ones_like(counts))
