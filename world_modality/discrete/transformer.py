"""The transformer of the discrete line: one sequence of what is seen, what is asked of the world, and the actions.

    [instruction] [frame's latents x P] [state] [world x P] [queries x K P] [actions x H]

Which of the parts there are is the model's row in :mod:`world_modality.facts.discrete`. All positions see each other,
unless actions are to be kept from the world's place (:func:`attention_mask`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from world_modality.facts.discrete import DiscreteModel

POSITION_DEVIATION = 0.02


@dataclass(frozen=True)
class TransformerSizes:
    """P tokens of W numbers stand for a frame; V world tokens are known."""

    latent: int  # W
    tokens: int  # P
    state: int  # S
    action: int  # A
    chunk_size: int  # H
    horizon: int  # K
    vocabulary: int = 0  # V; 0 where neither input nor prediction are world tokens
    language: int = 0  # E, numbers of an instruction's embedding; 0: none is read
    width: int = 256
    layers: int = 4
    heads: int = 8
    dropout: float = 0.0


@dataclass(frozen=True)
class WorldInput:
    """How the world token is read."""

    scale: float = 1.0  # times its embedding
    dropout: float = 0.0  # probability that a sample's is left out in training
    layernorm: bool = False  # its embedding is normalised, before it is scaled
    blocked: bool = False  # actions are kept from it: it serves predictions alone


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


@dataclass(frozen=True)
class Part:
    """A stretch of the sequence."""

    name: str
    length: int


def parts_of(model: DiscreteModel, sizes: TransformerSizes) -> tuple[Part, ...]:
    """The sequence of a model, in order."""
    found = [
        Part("language", int(sizes.language > 0)),
        Part("latents", sizes.tokens),
        Part("state", 1),
        Part("world", sizes.tokens if model.world_input else 0),
        Part("queries", sizes.horizon * sizes.tokens if model.predicts else 0),
        Part("actions", sizes.chunk_size),
    ]
    return tuple(part for part in found if part.length)


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
        if "token" in (model.world_input, model.predicts.removesuffix("s")) and sizes.vocabulary < 2:
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


def structure(model: DiscreteModel, sizes: TransformerSizes, world_input: WorldInput) -> tuple[object, ...]:
    """What decides what a network can compute: equal for two that differ in nothing but settings without effect.

    A token whose embedding is never let in leaves a place that holds its position alone, as without world input.
    """
    reads = model.world_input == "token" and world_input.dropout < 1 and world_input.scale != 0
    blocked = world_input.blocked and bool(model.world_input or model.predicts)
    known = sizes.vocabulary if reads or model.predicts == "tokens" else 0
    how = world_input if reads else WorldInput()
    return (
        *(parts_of(model, sizes), model.predicts, model.memory, reads),
        *(replace(how, blocked=blocked), replace(sizes, vocabulary=known)),
    )
