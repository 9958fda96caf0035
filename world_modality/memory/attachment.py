"""Where a memory can enter a flow-matching policy of LeRobot's, and how large the world modules are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Sockets:
    """Parts of a flow model, to hook onto, and the widths of what passes there.

    ``flow`` is the model itself: its ``embed_prefix`` gives (tokens, padding mask, attention mask), its
    ``embed_suffix`` is given the noisy actions and the flow time as its last two arguments, and it looks both up on the
    instance, each once per pass or velocity.
    """

    flow: Any
    readout: nn.Module  # is given the expert's last hidden states [B, chunk_size, hidden], once per velocity
    suffix: nn.Module  # gives the embedded noisy actions [B, chunk_size, hidden], once per velocity
    # Of the action expert; each has ``input_layernorm``, ``mlp``, ``self_attn.q_proj`` and ``self_attn.o_proj``.
    layers: Sequence[Any]
    hidden: int  # width of the action expert
    prefix: int  # width of the tokens that the expert attends to
    attention: tuple[int, int, int]  # of the action expert: query heads, key and value heads, width of a head


@dataclass(frozen=True, kw_only=True)
class ProphetSizes:
    """Sizes and switches of a Prophet. P = ``tokens`` of W = ``dim`` numbers stand for a frame, the cameras' side by
    side."""

    dim: int  # W, numbers per token, of all cameras together
    tokens: int = 1  # P per frame; 1: the encoder's tokens are pooled
    cameras: int = 1
    context: int  # T: frames of history
    prediction_horizon: int  # K: frames predicted
    hypotheses: int = 1  # N: predictions per history
    heads: int
    prophet_layers: int
    prophet_width: int
    delta: bool
    target: str = "latents"  # what the Prophet predicts
    rank: int = 0  # of the Prophet's linear part; 0: it has none
    actions: int = 0  # A: width of the flow's noisy actions, if the Prophet is told them; else 0
    step_weights: tuple[float, ...] = ()  # of its loss at k = 1..K, relative to each other; empty: equal

    @property
    def memory(self) -> tuple[int, int, int, int]:
        """(N, K, P, W): the shape of one sample's memory."""
        return self.hypotheses, self.prediction_horizon, self.tokens, self.dim

    @property
    def latent(self) -> int:
        """Width of one camera's token."""
        return self.dim // self.cameras


@dataclass(frozen=True, kw_only=True)
class WorldSizes(ProphetSizes):
    """Those of the Prophet, and of the way from the memory into the policy."""

    hidden: int  # width of the action expert
    prefix: int  # width of the tokens that the expert attends to
    layers: int  # of the action expert
    attention: tuple[int, int, int]  # of the action expert: query heads, key and value heads, width of a head
    gate_init: float
    fusion: str = "late"
    attention_width: int = 0  # inner width of the injector's attention; 0: that of the tokens it feeds
