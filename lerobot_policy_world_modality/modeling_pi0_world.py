"""pi0 with world memory: where its chunks are made, and where it is shown frames."""

from __future__ import annotations

from typing import Any

from lerobot.policies.pi0.modeling_pi0 import PI0Policy
from torch import Tensor

from lerobot_policy_world_modality.adapters.pi0 import PI0Adapter
from lerobot_policy_world_modality.configuration_pi0_world import PI0WorldConfig
from lerobot_policy_world_modality.world_policy import WorldPolicy


class PI0WorldPolicy(WorldPolicy, PI0Policy):  # type: ignore[misc]  # LeRobot is not typed
    """pi0 whose action expert can read a memory of the predicted world."""

    config_class = PI0WorldConfig
    name = "pi0_world"
    adapter = PI0Adapter()

    def select_action(self, batch: dict[str, Tensor]) -> Tensor:
        """pi0's action [B, A]. Every call shows the policy a frame, whether or not a new chunk is due."""
        if self._action_queue:  # else a chunk is made, and shows it
            self._see(batch)
        action: Tensor = super().select_action(batch)
        return action

    def predict_action_chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None, **kwargs: Any) -> Tensor:
        """pi0's chunk [B, chunk_size, A]."""
        self._see(batch)
        with self._reading(batch, noise):
            chunk: Tensor = super().predict_action_chunk(batch, noise=noise, **kwargs)
        return chunk
