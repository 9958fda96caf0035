"""What has to be known of an environment of LeRobot's to simulate it: written beside the row of its suite.

Imports nothing heavy, as the modules of rows must.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from world_modality.study.specs import SimSpec

if TYPE_CHECKING:
    from world_modality.benchmarks.lerobot_env.simulator import LeRobotSimulator


@dataclass(frozen=True)
class LeRobotEnv:
    """An environment by LeRobot's type, and where a policy's inputs and the outcome are found in what it tells.

    The ``simulator`` of a suite's row names one. Places in observations are keys with slashes between, such as
    ``pixels/top``.
    """

    type: str
    """As after lerobot-eval's --env.type, such as aloha, pusht or so101."""
    tasks: tuple[tuple[str, Mapping[str, object]], ...]
    """Each task's instruction, and the settings of the environment's config that are its own."""
    cameras: Mapping[str, str]
    """Name of the suite's camera -> its place in an observation."""
    state: tuple[str, ...] = ("agent_pos",)
    """Places of the numbers that make the state, in this order."""
    success: str = "is_success"
    """The key of the outcome in what a step tells; LeRobot's own environments say is_success, so101 says succeed."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Settings of the environment's config that are the same of all tasks."""
    sized_by: tuple[str, ...] = ()
    """Settings of its config that a study's camera_size goes into; pictures of any other size are resized to it."""
    module: str = ""
    """The module that registers the type; "" for LeRobot's own and for installed ``lerobot_env_*`` packages."""
    anew: bool = True
    """Whether it is made anew for every episode. False is quicker, and right where a reset keeps nothing of the episode
    before: else a record depends on what the same process played earlier."""

    def __call__(self, spec: SimSpec, task: int, assets: Path | None) -> LeRobotSimulator:  # noqa: ARG002
        """Open one task."""
        from world_modality.benchmarks.lerobot_env.simulator import LeRobotSimulator

        return LeRobotSimulator(self, spec, task)
