"""SmolVLA's processors, with a tokenizer step that also knows packaged and pinned backbones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
from lerobot.processor import PolicyProcessorPipeline, ProcessorStepRegistry, TokenizerProcessorStep

from lerobot_policy_world_modality.backbone import resolve_backbone, resolved_backbone
from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig

TOKENIZER_STEP = "backbone_tokenizer_processor"


@ProcessorStepRegistry.register(name=TOKENIZER_STEP)
@dataclass
class BackboneTokenizerStep(TokenizerProcessorStep):  # type: ignore[misc]  # LeRobot is not typed
    """LeRobot's tokenizer step for every name that ``resolve_backbone`` knows; it is saved with the name as given."""

    def __post_init__(self) -> None:
        name = self.tokenizer_name  # type: ignore[has-type]
        if name is not None:
            self.tokenizer_name = resolve_backbone(name)
        super().__post_init__()
        self.tokenizer_name = name


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
