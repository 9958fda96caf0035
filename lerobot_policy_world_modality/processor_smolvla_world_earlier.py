"""The processors of ``smolvla_world_earlier`` are those of ``smolvla_world``."""

from __future__ import annotations

from lerobot_policy_world_modality.processor_smolvla_world import make_smolvla_world_pre_post_processors

make_smolvla_world_earlier_pre_post_processors = make_smolvla_world_pre_post_processors
"""LeRobot finds this function by its name."""
