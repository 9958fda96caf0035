"""LeRobot's tokenizer step for packaged and pinned backbones too."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.processor import ProcessorStepRegistry, TokenizerProcessorStep

from lerobot_policy_world_modality.backbone import resolve_backbone

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
