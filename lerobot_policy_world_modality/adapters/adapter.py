"""What a world memory must know of a LeRobot policy to be hung onto it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from torch import Tensor

from lerobot_policy_world_modality.keyed_draws import draw_noise_and_time
from world_modality.memory.attachment import Sockets

Loss = tuple[Tensor, dict[str, Any]]


class Adapter(ABC):
    """One backbone: a flow-matching policy with x_t = t noise + (1 - t) actions and velocity noise - actions."""

    masks_padding: ClassVar[bool]  # whether its loss leaves out actions past the episode's end

    @abstractmethod
    def building(self, config: Any) -> AbstractContextManager[None]:
        """Meanwhile LeRobot can build model and processors from ``config``, whatever names and sizes it holds."""

    @abstractmethod
    def sockets(self, flow: Any) -> Sockets:
        """Where a memory can enter LeRobot's flow model."""

    @abstractmethod
    def loss(
        self,
        forward: Callable[..., Loss],
        flow: Any,
        batch: dict[str, Any],
        noise: Tensor | None,
        time: Tensor | None,
        reduction: str,
    ) -> Loss:
        """What LeRobot's ``forward`` gives for that noise [B, chunk_size, A] and time [B]; None: its own draws."""

    def draws(self, flow: Any, seeds: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Noise [B, chunk_size, A] and flow time [B] of a training batch, each row's by its seed alone."""
        return draw_noise_and_time(flow, seeds, device)

    def recomputes(self, _flow: Any) -> bool:
        """Whether the backward pass runs parts of the forward pass, and so the hooks, a second time."""
        return False

    def own_names(self, _policy: Any, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a stock checkpoint by the names that the policy has for them."""
        return dict(stored)
