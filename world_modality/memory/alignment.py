"""Alignment: the action expert's hidden states learn to foretell the latents to come, and nothing is read from that.

After Zheng et al. 2025, "FLARE: Robot Learning with Implicit World Modeling". There tokens of their own foretell one
frame; here it is the noisy actions' hidden states, which foretell each of the next K frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from world_modality.memory.attachment import Sockets
from world_modality.memory.lookup import LatentWindow
from world_modality.memory.randomness import borrowed_generator
from world_modality.memory.standardiser import Standardiser
from world_modality.memory.target import Score, target_of


@dataclass(frozen=True, kw_only=True)
class AlignmentSizes:
    """What is foretold, and of what. P = ``tokens`` of W = ``dim`` numbers stand for a frame."""

    dim: int  # W, of all cameras together
    tokens: int  # P
    prediction_horizon: int  # K frames ahead
    hidden: int  # width of the action expert
    chunk_size: int  # actions, the last tokens of the expert
    depth: float  # share of the expert's layers after which the states are taken, in (0, 1]
    mean: bool  # of all actions' states, in place of the k-th action's for frame k
    delta: bool  # z_{t+k} - z_t is foretold rather than z_{t+k}
    step_weights: tuple[float, ...] = ()  # of the loss at k = 1..K, relative to each other; empty: equal


class Foreteller(nn.Module):
    """The head: two layers, on states that are told which frame ahead is asked for. One module, so that PEFT can keep
    it."""

    def __init__(self, sizes: AlignmentSizes) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(sizes.hidden)
        self.steps = nn.Embedding(sizes.prediction_horizon, sizes.hidden)
        self.read = nn.Linear(sizes.hidden, sizes.hidden)
        self.write = nn.Linear(sizes.hidden, sizes.tokens * sizes.dim)

    def forward(self, states: Tensor) -> Tensor:
        """States [B, K, hidden], or [B, 1, hidden] for all frames -> [B, K, P * W]."""
        asked = self.norm(states.to(self.read.weight.dtype)) + self.steps.weight
        foretold: Tensor = self.write(F.silu(self.read(asked)))
        return foretold


class Alignment(nn.Module):
    """A head on hidden states of the action expert, which it only looks at while it is watching.

    The states come from the layer at ``depth``: LeRobot calls a layer's parts by hand, so they are what the next
    layer's first norm is given, and after the last layer what the readout is given.
    """

    def __init__(self, sizes: AlignmentSizes, seed: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.standardiser = Standardiser(sizes.dim, sizes.tokens)
        with borrowed_generator() as generator:  # or every draw after this would differ from the plain policy's
            generator.manual_seed(seed)
            self.foreteller = Foreteller(sizes)
        self._watching = False
        self._seen: list[Tensor] = []

    def attach(self, sockets: Sockets) -> None:
        """Hook onto a policy's model; to be called once."""
        layer = math.ceil(self.sizes.depth * len(sockets.layers))
        after = sockets.readout if layer == len(sockets.layers) else sockets.layers[layer].input_layernorm
        after.register_forward_pre_hook(self._before)

    def _before(self, _layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        if self._watching:
            self._seen.append(arguments[0])

    @contextmanager
    def watching(self) -> Iterator[list[Tensor]]:
        """The hidden states [B, tokens, hidden] of each velocity inside the ``with`` block."""
        self._watching, self._seen = True, []
        try:
            yield self._seen
        finally:
            self._watching, self._seen = False, []

    def forward(self, hidden: Tensor, now: Tensor) -> Tensor:
        """Hidden states [B, tokens, hidden] and z_t [B, P, W], standardised -> z_{t+1..t+K} [B, K, P, W]."""
        states = hidden[:, -self.sizes.chunk_size :]
        states = states.mean(1, keepdim=True) if self.sizes.mean else states[:, : self.sizes.prediction_horizon]
        latents: Tensor = self.foreteller(states).float()
        latents = latents.view(*latents.shape[:2], self.sizes.tokens, self.sizes.dim)
        return latents + now[:, None] if self.sizes.delta else latents

    def score(self, hidden: Tensor, window: LatentWindow) -> Score:
        """How well hidden states foretell the future of ``window``, which is standardised."""
        now, sizes = window.history[:, -1], self.sizes
        foretold = self(hidden, now)[:, None]
        found = target_of("latents").score(foretold, now, window.future, window.valid, delta=sizes.delta)
        return found.weighted(sizes.step_weights)


def figures_of(score: Score) -> dict[str, float]:
    """What a score logs, by the alignment's names: ``align_loss``, ``align_cos``, ``align_cos_persistence``, ..."""
    return {name.replace("world_", "align_", 1): value for name, value in score.summary().items()}


def at_weight(loss: Tensor, weight: float, aligned: Tensor) -> Tensor:
    """``loss`` and ``weight`` times the alignment's: at 0 it is ``loss``, of which not even zeros are the gradient."""
    return loss + weight * aligned if weight else loss
