"""The earlier system's Prophet and injection, in its own computation and with the names of its tensors.

What is otherwise than in this package's own world memory:

- Latents are raw, never standardised. One token stands for a frame, of one camera.
- The Prophet's width is the latents' D, and nothing tells it the order of what it saw.
- The injection's projections have biases, so that a memory of zeros adds a constant to the hidden states, not nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world_modality.memory.action_conditioning import Held, NoisyActions
from world_modality.memory.attachment import Sockets, WorldSizes
from world_modality.memory.fusion import Fusion
from world_modality.memory.injector import Observer
from world_modality.memory.standardiser import Standardiser
from world_modality.memory.target import Latents, LatentScore
from world_modality.memory.world import WorldMemory

SLOT_DEVIATION = 0.02  # of the slots' first values


class EarlierProphet(nn.Module):
    """Pre-norm transformer of width D over the history's latents and K learned slots, without a norm at its end."""

    def __init__(self, sizes: WorldSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.dim
        self.input_proj = nn.Linear(width, width)
        self.query_slots = nn.Parameter(SLOT_DEVIATION * torch.randn(1, sizes.prediction_horizon, width))
        layer = nn.TransformerEncoderLayer(
            width, sizes.heads, 4 * width, dropout=0.0, activation="relu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, sizes.prophet_layers, enable_nested_tensor=False)
        self.output_proj = nn.Linear(width, width)

    def forward(self, history: Tensor, _noisy: NoisyActions | None = None) -> Tensor:
        """Raw history [B, T, 1, D] ending at t -> predicted latents [B, 1, K, 1, D] at t+1..t+K."""
        seen = self.input_proj(history[:, :, 0])
        tokens = self.encoder(torch.cat([seen, self.query_slots.expand(len(history), -1, -1)], dim=1))
        ahead: Tensor = self.output_proj(tokens[:, -self.sizes.prediction_horizon :])
        if self.sizes.delta:
            ahead = history[:, -1] + ahead
        return ahead[:, None, :, None]


class EarlierInjection(Fusion):
    """h + tanh(gate) * attention of the expert's last hidden states h to the projected memory, before the readout."""

    def __init__(self, sizes: WorldSizes, held: Held, heads: int) -> None:
        super().__init__(sizes, held)
        self.future_proj = nn.Linear(sizes.dim, sizes.hidden)
        self.cross_attn = nn.MultiheadAttention(sizes.hidden, heads, batch_first=True)
        self.gate = nn.Parameter(torch.tensor(float(sizes.gate_init)))
        self.observer: Observer | None = None

    def attach(self, sockets: Sockets) -> None:
        """Before the readout, which is given float32."""
        sockets.readout.register_forward_pre_hook(self._before)

    def observe(self, observer: Observer | None) -> None:
        """As every fusion's."""
        self.observer = observer

    def _before(self, _layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self.held.memory is None:
            return None
        hidden = arguments[0]
        read = self.future_proj(self.held.memory[:, 0, :, 0].to(self.future_proj.weight.dtype))
        query = hidden.to(read.dtype)
        context, _ = self.cross_attn(query, read, read, need_weights=False)
        residual = torch.tanh(self.gate) * context
        if self.observer is not None:
            self.observer.see(*self._scored(query, read), hidden, residual, self.sizes)
        return (hidden + residual.to(hidden.dtype), *arguments[1:])

    def _scored(self, query: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        """Queries [B, heads, L, d] and keys [B, heads, K, d] of the attention."""
        width = self.cross_attn.embed_dim
        weight, bias = self.cross_attn.in_proj_weight, self.cross_attn.in_proj_bias
        heads = self.cross_attn.num_heads
        queries, keys = (
            F.linear(tokens, weight[part], bias[part]).view(*tokens.shape[:-1], heads, -1).transpose(1, 2)
            for tokens, part in ((query, slice(width)), (read, slice(width, 2 * width)))
        )
        return queries, keys


class RawLatents(Standardiser):
    """Latents stay as they are. Mean and covariance are those that random memory is matched to, once they are known."""

    def forward(self, latents: Tensor) -> Tensor:
        """Latents [..., P, D] as float32."""
        return latents.float()

    def draw(self, seeds: Sequence[int], tokens: int) -> Tensor:
        """Raw tokens [len(seeds), tokens, D], normal with the latents' mean and covariance, keyed by row."""
        return super().draw(seeds, tokens) * self.scale + self.mean[0]


class EarlierTarget(Latents):
    """The latents, of which the direction of the change alone was learned."""

    def score(self, prediction: Tensor, current: Tensor, future: Tensor, valid: Tensor, *, delta: bool) -> LatentScore:
        """Loss 1 - cos(y', y), y being z_{t+k} - z_t, or z_{t+k} if not ``delta``; figures as of the other target."""
        figures = super().score(prediction, current, future, valid, delta=delta)
        origin = current[:, None, None] if delta else torch.zeros_like(current)[:, None, None]
        direction = 1 - F.cosine_similarity(prediction.float() - origin, future[:, None] - origin, dim=-1)
        return replace(figures, losses=direction[:, 0].mean(-1) * valid)


class EarlierMemory(WorldMemory):
    """World modules of the earlier form; ``heads`` are the injection's, those of ``sizes`` the Prophet's."""

    def __init__(self, sizes: WorldSizes, seed: int, heads: int, *, learned: bool = False) -> None:
        super().__init__(
            sizes, seed, learned=learned, prophet=EarlierProphet, fusion=partial(EarlierInjection, heads=heads)
        )
        self.target = EarlierTarget()
        self.standardiser = RawLatents(sizes.dim, sizes.tokens)
