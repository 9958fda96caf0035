"""DINOv2, with or without registers: an image encoder, which sees a clip's frames one by one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from world_modality.encoders.encoder import load_model, pool, resizing
from world_modality.encoders.source import SMALL_SIZES, WEIGHT_DEVIATION
from world_modality.facts.encoders import ENCODERS
from world_modality.study.specs import EncoderSpec

PIXELS = 224  # what its processor gives it by default


class DINOv2:
    """z = the mean over the clip's frames of their pooled patches; class token and registers are left out."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        from transformers import AutoImageProcessor

        self.model = load_model(spec, folder)
        self.dim = int(self.model.config.hidden_size)
        self._spec = spec
        self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)

    def process(self, pixels: Tensor) -> Tensor:
        """Each frame as a picture."""
        prepared: Tensor = self._processor(images=list(pixels), **resizing(self._spec))["pixel_values"]
        return prepared

    def latents(self, clips: Tensor) -> Tensor:
        """[B, m, 3, S, S] -> [B, P, D]."""
        first_patch = 1 + getattr(self.model.config, "num_register_tokens", 0)
        tokens: Tensor = self.model(pixel_values=clips.flatten(0, 1)).last_hidden_state
        pooled = pool(tokens[:, first_patch:].float(), self._spec.pooling)
        return pooled.reshape(*clips.shape[:2], -1, self.dim).mean(dim=1)


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
