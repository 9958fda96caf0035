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
    layers: Sequence[Any]  # of the action expert; each has ``mlp``, ``self_attn.q_proj`` and ``self_attn.o_proj``
    hidden: int  # width of the action expert
    prefix: int  # width of the tokens that the expert attends to
    attention: tuple[int, int, int]  # of the action expert: query heads, key and value heads, width of a head


@dataclass(frozen=True)
class WorldSizes:
    """Sizes and switches. P = ``tokens`` of W = ``dim`` numbers stand for a frame, the cameras' side by side."""

    dim: int  # W, numbers per token, of all cameras together
    hidden: int  # width of the action expert
    prefix: int  # width of the tokens that the expert attends to
    layers: int  # of the action expert
    attention: tuple[int, int, int]  # of the action expert: query heads, key and value heads, width of a head
    context: int  # T: frames of history
    prediction_horizon: int  # K: frames predicted
    heads: int
    prophet_layers: int
    prophet_width: int
    delta: bool
    gate_init: float
    tokens: int = 1  # P per frame; 1: the encoder's tokens are pooled
    cameras: int = 1
    hypotheses: int = 1  # N: predictions per history
    fusion: str = "late"
    target: str = "latents"  # what the Prophet predicts
    actions: int = 0  # A: width of the flow's noisy actions, if the Prophet is told them; else 0
    attention_width: int = 0  # inner width of the injector's attention; 0: that of the tokens it feeds

    @property
    def memory(self) -> tuple[int, int, int, int]:
        """(N, K, P, W): the shape of one sample's memory."""
        return self.hypotheses, self.prediction_horizon, self.tokens, self.dim

    @property
    def latent(self) -> int:
        """Width of one camera's token."""
        return self.dim // self.cameras
