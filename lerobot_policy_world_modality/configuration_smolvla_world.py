"""The policy type ``smolvla_world``: SmolVLA's settings and, beside them, the world memory's."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_world_modality.world_config import WorldConfig


@PreTrainedConfig.register_subclass("smolvla_world")
@dataclass
class SmolVLAWorldConfig(WorldConfig, SmolVLAConfig):  # type: ignore[misc]  # LeRobot is not typed
    """SmolVLA with world memory."""
