"""The discrete line's transformer, as a world memory sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lerobot_policy_world_modality.adapters.adapter import Adapter, Loss
from world_modality.memory.attachment import Sockets


class TransformerAdapter(Adapter):
    """It makes its chunk at once: a flow of one step from no noise, whose velocity is the chunk."""

    masks_padding = False  # it does, and counts over all processes by itself

    def building(self, _config: Any) -> AbstractContextManager[None]:
        """LeRobot can, whatever it holds."""
        return nullcontext()

    def sockets(self, flow: Any) -> Sockets:
        """Only the readout: ``late`` is the one fusion that it takes."""
        width = flow.sizes.width
        return Sockets(
            flow=flow,
            readout=flow.action_out_proj,
            suffix=flow.action_out_proj,
            layers=(),
            hidden=width,
            prefix=width,
            attention=(flow.sizes.heads, flow.sizes.heads, width // flow.sizes.heads),
        )

    def draws(self, flow: Any, seeds: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Nothing: no noise, at time 1, where a change of the velocity is one of the actions."""
        chunk = torch.zeros(len(seeds), flow.sizes.chunk_size, flow.sizes.action, device=device)
        return chunk, torch.ones(len(seeds), device=device)

    def loss(
        self,
        forward: Callable[..., Loss],
        _flow: Any,
        batch: dict[str, Any],
        _noise: Tensor | None,
        _time: Tensor | None,
        reduction: str,
    ) -> Loss:
        """Neither noise nor time are asked for."""
        return forward(batch, None, None, reduction)
