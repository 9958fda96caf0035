"""LeRobot plugin: the policy types ``smolvla_world`` and ``pi0_world``, with a memory of the predicted world, and
``smolvla_world_earlier``, with that of an earlier system; and ``world_transformer``, which sees frames as latents.

LeRobot finds the package by its distribution's name and imports it; importing registers what a config file or a
command line may name. A model itself is imported when LeRobot builds one.
"""

from lerobot_policy_world_modality.backbone import BackboneTokenizerStep
from lerobot_policy_world_modality.configuration_pi0_world import PI0WorldConfig
from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.configuration_smolvla_world_earlier import SmolVLAWorldEarlierConfig
from lerobot_policy_world_modality.configuration_world_transformer import WorldTransformerConfig

__all__ = [
    "BackboneTokenizerStep",
    "PI0WorldConfig",
    "SmolVLAWorldConfig",
    "SmolVLAWorldEarlierConfig",
    "WorldTransformerConfig",
]
