"""SO-101's pick and place with the camera at its front, which the environment's own config can ask for neither of."""

from dataclasses import dataclass
from typing import Any

from lerobot.envs.configs import EnvConfig
from lerobot_env_so101.configuration_so101 import SO101Env
from lerobot_env_so101.mujoco_env import GymRenderingSpec


@EnvConfig.register_subclass("so101_pick_place")
@dataclass
class PickPlace(SO101Env):
    """``size`` is that of its pictures, in pixels."""

    task: str | None = "SO101PickPlace-v0"
    episode_length: int = 300
    image_obs: bool = True
    random_block_position: bool = True
    action_scale: float = 0.025
    size: int = 128

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Without what this task's environment does not take."""
        given = {name: value for name, value in super().gym_kwargs.items() if name != "reward_type"}
        return {**given, "render_spec": GymRenderingSpec(self.size, self.size, "front")}
