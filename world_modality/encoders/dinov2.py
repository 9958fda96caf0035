"""DINOv2, with or without registers: an image encoder, which sees a clip's frames one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from world_modality.encoders.source import SMALL_SIZES, WEIGHT_DEVIATION
from world_modality.encoders.tower import Tower
from world_modality.facts.encoders import ENCODERS

PIXELS = 224  # what its processor gives it by default


class DINOv2(Tower):
    """z = the mean over the clip's frames of their pooled patches; class token and registers are left out."""


def image_size(_config: Mapping[str, Any]) -> int:
    """What its processor gives it, whatever pictures its position embeddings were made for."""
    return PIXELS


def build_small(image_size: int) -> tuple[Any, Any]:
    """``dinov2-small``: model and processor."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model
    from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    patch = ENCODERS["dinov2"].small_patch
    config = Dinov2Config(**SMALL_SIZES, patch_size=patch, image_size=image_size, initializer_range=WEIGHT_DEVIATION)
    size = {"height": image_size, "width": image_size}
    processor = BitImageProcessor(
        size=size, crop_size=size, image_mean=IMAGENET_DEFAULT_MEAN, image_std=IMAGENET_DEFAULT_STD
    )
    return Dinov2Model(config), processor
