"""LeRobot's default processors: state and actions are normalised, pictures are left alone."""

from __future__ import annotations

import torch
from lerobot.processor import PolicyProcessorPipeline, make_default_pre_post_processors

from lerobot_policy_world_modality.configuration_world_transformer import WorldTransformerConfig


def make_world_transformer_pre_post_processors(
    config: WorldTransformerConfig, dataset_stats: dict[str, dict[str, torch.Tensor]] | None = None
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """Pre- and postprocessor for ``config``; LeRobot finds this function by its name."""
    processors: tuple[PolicyProcessorPipeline, PolicyProcessorPipeline] = make_default_pre_post_processors(
        config, dataset_stats, normalizer_device=config.device
    )
    return processors
