"""The sequence of a model of the discrete line: its parts, their sizes, and what makes two models one network.

    [instruction] [frame's latents x P] [state] [world x P] [queries x K P] [actions x H]

Which of the parts there are is the model's row in :mod:`world_modality.facts.discrete`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from world_modality.facts.discrete import DiscreteModel

CHUNK_SIZE = 8
"""H, unless somebody says otherwise."""


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


def structure(model: DiscreteModel, sizes: TransformerSizes, world_input: WorldInput) -> tuple[object, ...]:
    """What decides what a network can compute: equal for two that differ in nothing but settings without effect.

    A token whose embedding is never let in leaves a place that holds its position alone, as without world input.
    """
    reads = model.world_input == "token" and world_input.dropout < 1 and world_input.scale != 0
    blocked = world_input.blocked and bool(model.world_input or model.predicts)
    known = sizes.vocabulary if reads or model.predicts == "tokens" else 0
    how, ahead = world_input if reads else WorldInput(), sizes.horizon if model.predicts else 0
    return (
        *(parts_of(model, sizes), model.predicts, reads),
        *(replace(how, blocked=blocked), replace(sizes, vocabulary=known, horizon=ahead)),
    )
