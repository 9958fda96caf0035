"""LeRobot plugin: the policy type ``smolvla_world``, SmolVLA with a memory of the predicted world.

LeRobot finds the package by its distribution's name and imports it; importing registers what a config file or a
command line may name. The model itself is imported when LeRobot builds one.
"""

from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig
from lerobot_policy_world_modality.processor_smolvla_world import make_smolvla_world_pre_post_processors

__all__ = ["SmolVLAWorldConfig", "make_smolvla_world_pre_post_processors"]
