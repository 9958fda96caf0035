"""The transformer of the discrete line: one sequence of what is seen, what is asked of the world, and the actions.

All positions of the sequence (:mod:`world_modality.facts.sequence`) see each other, unless actions are to be kept
from the world's place (:func:`attention_mask`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world_modality.facts.discrete import DiscreteModel
from world_modality.facts.sequence import Part, TransformerSizes, WorldInput, parts_of

POSITION_DEVIATION = 0.02


@dataclass(frozen=True)
class Seen:
    """What a batch of B chunks is made from."""

    latents: Tensor  # float [B, P, W] of the present frame, standardised
    state: Tensor  # float [B, S], normalised
    token: Tensor | None = None  # int64 [B, P]: the frame's world tokens
    language: Tensor | None = None  # float [B, E]


@dataclass(frozen=True)
class Answer:
    """What the transformer makes of it."""

    actions: Tensor  # [B, H, A], normalised
    world: Tensor | None  # [B, K, P, V] logits of world tokens or [B, K, P, W] latents; None without queries


def attention_mask(parts: tuple[Part, ...], *, blocked: bool) -> Tensor | None:
    """bool [L, L], True where a position (row) may not see another one (column); None where all see all.

    To hide the world's place from the actions alone would keep nothing from them: whoever may see both hands it on a
    layer later. So the queries, which are to see it, are hidden from all others as well, and no path is left.
    """
    if not blocked:
        return None
    reached = torch.tensor([part.name in ("world", "queries") for part in parts for _ in range(part.length)])
    return ~reached[:, None] & reached[None, :]


class WorldTransformer(nn.Module):
    """Pre-norm encoder (Xiong et al. 2020) with GELU and learned positions; linear readouts."""

    def __init__(self, model: DiscreteModel, sizes: TransformerSizes, world_input: WorldInput | None = None) -> None:
        """ValueError if world tokens are to be read or predicted and ``sizes`` knows none."""
        super().__init__()
        if model.knows_tokens and sizes.vocabulary < 2:
            raise ValueError(f"model {model.name} needs world tokens: set vocabulary to how many there are")
        self.row, self.sizes, self.world_input = model, sizes, world_input or WorldInput()
        self.parts = parts_of(model, sizes)
        width = sizes.width
        self.of_latents = nn.Linear(sizes.latent, width)
        self.of_state = nn.Linear(sizes.state, width)
        self.of_language = nn.Linear(sizes.language, width) if sizes.language else None
        self.of_token = nn.Embedding(sizes.vocabulary, width) if model.world_input == "token" else None
        length = sum(part.length for part in self.parts)
        self.positions = nn.Parameter(POSITION_DEVIATION * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, sizes.heads, 4 * width, sizes.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, sizes.layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.action_out_proj = nn.Linear(width, sizes.action)
        predicted = {"tokens": sizes.vocabulary, "latents": sizes.latent}.get(model.predicts)
        self.world_out_proj = None if predicted is None else nn.Linear(width, predicted)
        mask = attention_mask(self.parts, blocked=self.world_input.blocked)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, seen: Seen) -> Answer:
        """Actions and, with queries, what they foresee."""
        rows = len(seen.latents)
        sequence = torch.cat([self._embedded(part, seen, rows) for part in self.parts], dim=1) + self.positions
        hidden = self.encoder(sequence, mask=self.mask)
        found = dict(
            zip((part.name for part in self.parts), hidden.split([p.length for p in self.parts], 1), strict=True)
        )
        world = None
        if self.world_out_proj is not None:
            world = self.world_out_proj(found["queries"])
            world = world.reshape(rows, self.sizes.horizon, self.sizes.tokens, -1)
        return Answer(self.action_out_proj(found["actions"]), world)

    def _embedded(self, part: Part, seen: Seen, rows: int) -> Tensor:
        """[B, length, width]; queries, actions and a world's place without input begin as their positions alone."""
        if part.name == "latents":
            return self.of_latents(seen.latents)  # type: ignore[no-any-return]
        if part.name == "state":
            return self.of_state(seen.state)[:, None]  # type: ignore[no-any-return]
        if part.name == "world" and self.of_token is not None:
            assert seen.token is not None
            return self._world(self.of_token(seen.token))
        if part.name == "language":
            assert self.of_language is not None
            assert seen.language is not None
            return self.of_language(seen.language)[:, None]  # type: ignore[no-any-return]
        return self.positions.new_zeros(rows, part.length, self.sizes.width)

    def _world(self, embedded: Tensor) -> Tensor:
        if self.world_input.layernorm:
            embedded = F.layer_norm(embedded, embedded.shape[-1:])
        embedded = embedded * self.world_input.scale
        if self.training and self.world_input.dropout:
            kept = torch.rand(len(embedded), 1, 1, device=embedded.device) >= self.world_input.dropout
            embedded = embedded * kept
        return embedded
