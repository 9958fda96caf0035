"""SmolVLA, as a world memory sees it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from lerobot_policy_world_modality.adapters.adapter import Adapter, Loss
from lerobot_policy_world_modality.backbone import resolved_backbone
from world_modality.memory.attachment import Sockets


class SmolVLAAdapter(Adapter):
    """LeRobot calls the parts of an expert's layer by hand, so hooks on a layer itself would never fire."""

    masks_padding = True

    def building(self, config: Any) -> AbstractContextManager[None]:
        """Packaged and pinned backbones get a name that transformers can load."""
        return resolved_backbone(config)

    def sockets(self, flow: Any) -> Sockets:
        """Of ``VLAFlowMatching``."""
        expert = flow.vlm_with_expert
        return Sockets(
            flow=flow,
            readout=flow.action_out_proj,
            suffix=flow.action_time_mlp_out,
            layers=tuple(expert.lm_expert.layers),
            hidden=expert.expert_hidden_size,
            prefix=expert.config.text_config.hidden_size,
            attention=(expert.num_attention_heads, expert.num_key_value_heads, expert.config.text_config.head_dim),
        )

    def loss(
        self,
        forward: Callable[..., Loss],
        _flow: Any,
        batch: dict[str, Any],
        noise: Tensor | None,
        time: Tensor | None,
        reduction: str,
    ) -> Loss:
        """SmolVLA takes both as arguments."""
        return forward(batch, noise, time, reduction)
