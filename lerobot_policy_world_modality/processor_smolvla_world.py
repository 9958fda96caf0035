"""SmolVLA's processors, with a tokenizer step that also knows packaged and pinned backbones."""

from __future__ import annotations

from typing import Any

import torch
from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from lerobot.processor import PolicyProcessorPipeline, TokenizerProcessorStep

from lerobot_policy_world_modality.backbone import BackboneTokenizerStep, resolved_backbone
from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig


def make_smolvla_world_pre_post_processors(
    config: SmolVLAWorldConfig, dataset_stats: dict[str, dict[str, torch.Tensor]] | None = None
) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
    """SmolVLA's pre- and postprocessor for ``config``; LeRobot finds this function by its name."""
    with resolved_backbone(config):
        preprocessor, postprocessor = make_smolvla_pre_post_processors(config, dataset_stats)
    preprocessor.steps = [_for_backbone(step, config.vlm_model_name) for step in preprocessor.steps]
    return preprocessor, postprocessor


def _for_backbone(step: Any, name: str) -> Any:
    if type(step) is not TokenizerProcessorStep:
        return step
    return BackboneTokenizerStep(**{**step.get_config(), "tokenizer_name": name})
