"""Injector: lets hidden states read the world memory through a gate that starts closed."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world_modality.errors import UserError
from world_modality.facts.memory import ATTENTION_MASS
from world_modality.memory.attachment import ProphetSizes, WorldSizes
from world_modality.memory.embedding import GridEmbedding


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


def add_exactly(hidden: Tensor, residual: Tensor) -> Tensor:
    """``hidden + residual`` in ``hidden``'s dtype, bit for bit ``hidden`` where the residual is zero."""
    result: Tensor = ExactAdd.apply(hidden, residual.to(hidden.dtype))  # type: ignore[no-untyped-call]
    return result


def memory_tokens(memory: Tensor, sizes: WorldSizes) -> Tensor:
    """Memory [B, N, K, P, W] -> tokens [B, M, W / cameras], M = N * K * P * cameras."""
    return memory.reshape(len(memory), -1, sizes.latent)


def slot_axes(sizes: WorldSizes) -> dict[str, int]:
    """The coordinates of the memory's tokens, in the order in which :func:`memory_tokens` lays them out."""
    hypotheses, prediction_horizon, tokens, _ = sizes.memory
    return {"hypothesis": hypotheses, "time": prediction_horizon, "token": tokens, "camera": sizes.cameras}


class Injector(nn.Module):
    """tanh(gate) * CrossAttention(hidden, memory), which is exactly zero when the memory is.

    For zero memory the residual is zero whatever the weights: the memory's norm, the values and the output have no
    bias, and the slot embeddings enter the keys alone. The gate starts at ``gate_init``; at 0 the residual is zero
    but the gate's gradient is not, because the output projection is not zero.
    """

    def __init__(self, sizes: WorldSizes, hidden: int) -> None:
        super().__init__()
        self.sizes = sizes
        inner = sizes.attention_width or hidden
        if inner % sizes.heads:
            raise UserError(
                f"world_heads is {sizes.heads} (world.heads in a study): choose a divisor of the width that attention "
                f"has, {inner}"
            )
        self.hidden_norm = nn.LayerNorm(hidden, bias=False)
        self.memory_norm = nn.LayerNorm(sizes.latent, bias=False)
        self.query = nn.Linear(hidden, inner, bias=False)
        self.key = nn.Linear(sizes.latent, inner, bias=False)
        self.value = nn.Linear(sizes.latent, inner, bias=False)
        self.output = nn.Linear(inner, hidden, bias=False)
        self.slots = GridEmbedding(slot_axes(sizes), inner)
        self.gate = nn.Parameter(torch.tensor(float(sizes.gate_init)))
        self.observer: Observer | None = None

    def residual(self, hidden: Tensor, memory: Tensor) -> Tensor:
        """Hidden states [B, L, H] and memory [B, N, K, P, W] -> what to add to the hidden states [B, L, H]."""
        dtype = self.query.weight.dtype
        tokens = self.memory_norm(memory_tokens(memory, self.sizes).to(dtype))
        query = self._split(self.query(self.hidden_norm(hidden.to(dtype))))
        key = self._split(self.key(tokens) + self.slots())
        context = F.scaled_dot_product_attention(query, key, self._split(self.value(tokens)))
        read = self.output(context.transpose(1, 2).flatten(2))
        residual: Tensor = torch.tanh(self.gate) * read
        if self.observer is not None:
            self.observer.see(query, key, hidden, residual, self.sizes)
        return residual

    def forward(self, hidden: Tensor, memory: Tensor) -> Tensor:
        """Hidden states [B, L, H] and memory [B, N, K, P, W] -> hidden states [B, L, H] of the same dtype."""
        return add_exactly(hidden, self.residual(hidden, memory))

    def _split(self, tokens: Tensor) -> Tensor:
        """[B, M, inner] -> [B, heads, M, inner / heads]."""
        batch, length, width = tokens.shape
        return tokens.view(batch, length, self.sizes.heads, width // self.sizes.heads).transpose(1, 2)


class Observer:
    """Sums up how attention reads the memory, over the calls since :meth:`figures` was last asked."""

    def __init__(self) -> None:
        self._calls: list[Tensor] = []
        self._slots = 1

    @torch.no_grad()
    def see(self, query: Tensor, key: Tensor, hidden: Tensor, residual: Tensor, sizes: ProphetSizes) -> None:
        """Attention inputs [B, heads, L, d] and [B, heads, M, d]; hidden and residual [B, L, H].

        The M keys are the memory's slots in the order of :func:`memory_tokens`.
        """
        scores = query.float() @ key.float().transpose(-1, -2) / query.shape[-1] ** 0.5
        weights = scores.softmax(-1)
        entropy = -(weights * weights.clamp_min(1e-12).log()).sum(-1).mean()
        ratio = residual.float().norm() / hidden.float().norm().clamp_min(1e-12)
        per_slot = weights.flatten(0, -2).mean(0)  # [M]
        per_step = per_slot.view(sizes.hypotheses, sizes.prediction_horizon, -1).sum((0, 2))  # [K]
        self._calls.append(torch.stack([entropy, weights.amax(-1).mean(), ratio, *per_step]))
        self._slots = len(per_slot)

    def figures(self, *, shares: bool = False) -> dict[str, float]:
        """Attention entropy in nats, its largest weight, and |residual| / |hidden|; each a mean. Empty if unused.

        With ``shares`` also the entropy as a share of even attention's, which has no meaning for a single slot, and the
        mass on each step ahead.
        """
        if not self._calls:
            return {}
        entropy, largest, ratio, *mass = torch.stack(self._calls).mean(0).tolist()
        self._calls.clear()
        told = {"world_attention_entropy": entropy, "world_attention_max": largest, "world_residual_ratio": ratio}
        if not shares:
            return told
        even = {"world_attention_evenness": entropy / math.log(self._slots)} if self._slots > 1 else {}
        return told | even | {f"{ATTENTION_MASS}{k}": share for k, share in enumerate(mass, 1)}
