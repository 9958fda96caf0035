"""SmolVLA with world memory: where its chunks are made, and where it is shown frames."""

from __future__ import annotations

from typing import Any

from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor

from lerobot_policy_world_modality.adapters.smolvla import SmolVLAAdapter
from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.world_policy import WorldPolicy


class SmolVLAWorldPolicy(WorldPolicy, SmolVLAPolicy):  # type: ignore[misc]  # LeRobot is not typed
    """SmolVLA whose action expert can read a memory of the predicted world."""

    config_class = SmolVLAWorldConfig
    name = "smolvla_world"
    adapter = SmolVLAAdapter()

    def select_action(self, batch: dict[str, Tensor], noise: Tensor | None = None, **kwargs: Any) -> Tensor:
        """SmolVLA's action [B, A]. Every call shows the policy a frame, whether or not a new chunk is due."""
        self._see(batch)
        action: Tensor = super().select_action(batch, noise, **kwargs)
        return action

    def predict_action_chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None, **kwargs: Any) -> Tensor:
        """SmolVLA's chunk [B, chunk_size, A]."""
        self._see(batch)
        chunk: Tensor = super().predict_action_chunk(batch, noise, **kwargs)
        return chunk

    def _get_action_chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None, **kwargs: Any) -> Tensor:
        # Both ways to an action pass here once per chunk; the memory is read at every denoising step.
        with self._reading(batch, noise):
            chunk: Tensor = super()._get_action_chunk(batch, noise, **kwargs)
        return chunk
