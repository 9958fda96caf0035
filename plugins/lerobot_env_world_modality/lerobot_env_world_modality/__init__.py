"""LeRobot plugin: the environment type ``libero_world``.

LeRobot finds the package by its distribution's name and imports it; importing registers what a command line may name. A
simulator is imported when LeRobot makes an environment.
"""

from lerobot_env_world_modality.configuration import LiberoWorldEnv

__all__ = ["LiberoWorldEnv"]
