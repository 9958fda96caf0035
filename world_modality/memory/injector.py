"""Injector: lets the action expert's hidden states read the world memory through a gate that starts closed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ExactAdd(torch.autograd.Function):
    """``hidden + residual``, except that a residual of zero gives back the very bits of ``hidden``.

    Plain addition turns -0.0 into +0.0. The gradient is that of plain addition, so it flows where the residual is 0.
    """

    @staticmethod
    def forward(_context: Any, hidden: Tensor, residual: Tensor) -> Tensor:
        """Two tensors of one shape and dtype -> the same."""
        return torch.where(residual == 0, hidden, hidden + residual)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of a sum."""
        return gradients[0], gradients[0]


class Injector(nn.Module):
    """h + tanh(gate) * CrossAttention(h, memory), with nothing added when the memory is zero.

    For zero memory the residual is exactly zero whatever the weights: the memory's norm, the values and the output
    have no bias, and the slot embeddings enter the keys alone. The gate starts at ``gate_init``; at 0 the residual is
    zero but the gate's gradient is not, because the output projection is not zero.
    """

    def __init__(self, *, hidden: int, dim: int, slots: int, heads: int, gate_init: float) -> None:
        super().__init__()
        self.heads = heads
        self.hidden_norm = nn.LayerNorm(hidden, bias=False)
        self.memory_norm = nn.LayerNorm(dim, bias=False)
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.key = nn.Linear(dim, hidden, bias=False)
        self.value = nn.Linear(dim, hidden, bias=False)
        self.output = nn.Linear(hidden, hidden, bias=False)
        self.slots = nn.Parameter(torch.randn(slots, hidden) * 0.02)
        self.gate = nn.Parameter(torch.tensor(float(gate_init)))

    def forward(self, hidden: Tensor, memory: Tensor) -> Tensor:
        """Hidden states [B, L, H] and memory [B, K, D] -> hidden states [B, L, H] of the same dtype."""
        dtype = self.query.weight.dtype
        memory = self.memory_norm(memory.to(dtype))
        context = F.scaled_dot_product_attention(
            self._split(self.query(self.hidden_norm(hidden.to(dtype)))),
            self._split(self.key(memory) + self.slots),
            self._split(self.value(memory)),
        )
        residual = torch.tanh(self.gate) * self.output(context.transpose(1, 2).flatten(2))
        result: Tensor = ExactAdd.apply(hidden, residual.to(hidden.dtype))  # type: ignore[no-untyped-call]
        return result

    def _split(self, tokens: Tensor) -> Tensor:
        """[B, N, H] -> [B, heads, N, H / heads]."""
        batch, length, width = tokens.shape
        return tokens.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
