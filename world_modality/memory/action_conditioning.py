"""A Prophet that is told what the action expert already knows: the noisy actions and the time of the flow.

Which future comes depends on what is done. The demonstrated actions must not tell it, since they are what the expert is
to predict; the noisy ones x_t and the flow time t are the expert's own inputs, so a memory made of them and of the
latents seen so far can tell it nothing about the target that it could not have read there itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TIME_WIDTH = 32  # numbers that tell the flow time
PERIODS = 4e-3, 4.0  # the shortest and the longest wave among them, as in SmolVLA


@dataclass(frozen=True)
class NoisyActions:
    """What one velocity of the flow is asked for: x_t = t noise + (1 - t) actions, and t."""

    actions: Tensor  # [B, chunk_size, A], normalised and padded as the flow model has them
    time: Tensor  # [B], 1: noise alone, 0: actions alone


Following = Callable[[NoisyActions], Tensor | None]
"""Makes the memory [B, N, K, P, W] for one velocity."""


class ActionCondition(nn.Module):
    """What the slot of frame t+k is told: of x_t the action that leads there, the k-th of the chunk, and the flow time.

    The last layer starts at zero, so that training starts from a Prophet that is told nothing.
    """

    def __init__(self, actions: int, prediction_horizon: int, width: int) -> None:
        super().__init__()
        self.prediction_horizon = prediction_horizon
        self.read = nn.Linear(actions + TIME_WIDTH, width)
        self.write = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.write.weight)

    def forward(self, noisy: NoisyActions) -> Tensor:
        """[B, K, width]."""
        actions = noisy.actions[:, : self.prediction_horizon].to(self.read.weight.dtype)
        time = time_waves(noisy.time).to(actions.dtype)
        told = torch.cat([actions, time[:, None].expand(-1, actions.shape[1], -1)], dim=-1)
        written: Tensor = self.write(F.silu(self.read(told)))
        return written


def time_waves(time: Tensor) -> Tensor:
    """Sines and cosines of the flow time [B] with periods in geometric steps: [B, TIME_WIDTH]."""
    steps = torch.linspace(0, 1, TIME_WIDTH // 2, device=time.device)
    periods = PERIODS[0] * (PERIODS[1] / PERIODS[0]) ** steps
    angles = 2 * math.pi * time.float()[:, None] / periods
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@dataclass
class Held:
    """The memory [B, N, K, P, W] of the forward pass that is under way, if any, and what makes it anew per velocity."""

    memory: Tensor | None = None
    follow: Following | None = None

    def __deepcopy__(self, _memo: Any) -> Held:
        """Empty: a copied policy is in no pass, and a memory with a gradient cannot be copied."""
        return Held()


class SuffixEmbedding:
    """``embed_suffix`` of a flow matching model, which first makes the memory for the velocity that is asked for.

    LeRobot calls it once per velocity, before anything of the suffix is computed.
    """

    def __init__(self, flow: Any, held: Held) -> None:
        self._flow = flow
        self._held = held

    def __call__(self, *arguments: Any) -> Any:
        """What LeRobot's own gives, unchanged; the noisy actions and the time are its last two arguments."""
        if self._held.follow is not None:
            self._held.memory = self._held.follow(NoisyActions(*arguments[-2:]))
        return type(self._flow).embed_suffix(self._flow, *arguments)
