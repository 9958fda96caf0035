"""DINOv3: transformers with registers and rotary positions, and ConvNeXts, of which both see a frame as a picture."""

from __future__ import annotations

from typing import Any

from world_modality.encoders.source import WEIGHT_DEVIATION
from world_modality.encoders.tower import Tower
from world_modality.facts.encoders import ENCODERS


class DINOv3(Tower):
    """z = the mean over the clip's frames of their pooled patches; class token and registers are left out."""


class DINOv3ConvNeXt(Tower):
    """The same of the last stage's fields of 32 pixels. Its one token before them is the mean picture, normalised."""

    @property
    def prefix(self) -> int:
        """That mean, which pooling cls takes."""
        return 1


def build_small(image_size: int) -> tuple[Any, Any]:
    """``dinov3-small``: model and processor."""
    from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

    config = DINOv3ViTConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_register_tokens=4,
        patch_size=ENCODERS["dinov3"].small_patch,
        image_size=image_size,
        initializer_range=WEIGHT_DEVIATION,
    )
    return DINOv3ViTModel(config), DINOv3ViTImageProcessor(size={"height": image_size, "width": image_size})
