"""pi0's processors, with a tokenizer that the config names."""

from __future__ import annotations

import torch
from lerobot.policies.pi0.processor_pi0 import make_pi0_pre_post_processors
from lerobot.processor import PolicyProcessorPipeline

from lerobot_policy_world_modality.adapters.pi0 import PI0Adapter
from lerobot_policy_world_modality.configuration_pi0_world import PI0WorldConfig


def make_pi0_world_pre_post_processors(
    config: PI0WorldConfig, dataset_stats: dict[str, dict[str, torch.Tensor]] | None = None
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """pi0's pre- and postprocessor for ``config``; LeRobot finds this function by its name."""
    with PI0Adapter().building(config):
        processors: tuple[PolicyProcessorPipeline, PolicyProcessorPipeline] = make_pi0_pre_post_processors(
            config, dataset_stats
        )
    return processors
