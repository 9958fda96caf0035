"""The policy type ``pi0_world``: pi0's settings and, beside them, the world memory's."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.configs import PreTrainedConfig
from lerobot.policies.pi0.configuration_pi0 import PI0Config

from lerobot_policy_world_modality.world_config import WorldConfig
from world_modality.errors import UserError

PALIGEMMA = "google/paligemma-3b-pt-224"  # whose tokenizer LeRobot's pi0 asks for by name


@PreTrainedConfig.register_subclass("pi0_world")
@dataclass
class PI0WorldConfig(WorldConfig, PI0Config):  # type: ignore[misc]  # LeRobot is not typed
    """pi0 with world memory, and what LeRobot's pi0 has as constants: its tokenizer, and the sizes of its networks."""

    tokenizer_name: str = PALIGEMMA
    small_architecture: str = ""  # networks of random weights, small enough for a CPU; "": pi0's published sizes

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compile_model and (self.train_mode.needs_world or self.world_align):
            raise UserError("compile_model: a compiled pi0 would not see the world memory's hooks: set it to false")
