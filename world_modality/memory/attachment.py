"""Where a memory can enter a flow-matching policy of LeRobot's: the parts that an adapter finds in one backbone."""

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
