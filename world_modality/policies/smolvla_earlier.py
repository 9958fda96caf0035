"""SmolVLA with the earlier system's world memory: loaded from its own folders, and started from as a plain SmolVLA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lerobot.policies.factory import get_policy_class

from lerobot_policy_world_modality.convert import load_weights
from world_modality.policies.earlier import EARLIER_TYPE, is_earlier_folder
from world_modality.policies.smolvla import SmolVLAHost


class EarlierHost(SmolVLAHost):
    """A training of this package's own memory starts from its SmolVLA alone, as the conversion does it."""

    def load(self, folder: Path, config: Any) -> Any:
        """From the earlier system's own folder, or from a converted one; UserError unless every tensor is found and
        used, or if the memory mode needs what the checkpoint does not hold."""
        if is_earlier_folder(folder):
            with self.building(config):
                policy = get_policy_class(EARLIER_TYPE)(config)
            load_weights(policy, folder)
            policy.to(config.device)
        else:
            policy = super().load(folder, config)
        policy.require_mode()
        return policy.eval()
