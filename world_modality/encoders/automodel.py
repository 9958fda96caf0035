"""Any vision tower that transformers' AutoModel builds, such as ViT, I-JEPA, SigLIP's and CLIP's, without code of ours.

What is not known of a model is asked of the model itself when it is loaded: it is shown a picture, twice.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from world_modality.encoders.encoder import LOADING_FAILS
from world_modality.encoders.source import WEIGHT_DEVIATION
from world_modality.encoders.tower import Tower
from world_modality.errors import UserError, in_one_line
from world_modality.facts.encoders import ENCODERS
from world_modality.facts.model_configs import plain_config
from world_modality.study.specs import EncoderSpec

CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")
PREFIXES = (*CLASS_TOKENS, "distillation_token", "register_tokens")
"""How transformers' models call, among their embeddings, the tokens that they put before the patches."""
ANY_SIZE = "interpolate_pos_encoding"
"""The argument by which they take pictures of another size than they were trained on."""


class AutoTower(Tower):
    """z = the mean over the clip's frames of their pooled patches, or of their class tokens where the model has one."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self._named = {
            name.rpartition(".")[2]: parameter.numel() // self.dim
            for name, parameter in self.model.named_parameters()
            if "embeddings." in name and name.endswith(PREFIXES)
        }
        trained = plain_config(self.model.config.to_dict()).get("image_size", spec.image_size)
        resized = ANY_SIZE in inspect.signature(self.model.forward).parameters and trained != spec.image_size
        self._settings: dict[str, Any] = {ANY_SIZE: True} if resized else {}
        if spec.pooling == "cls" and not any(name in self._named for name in CLASS_TOKENS):
            told = self.model.config.model_type
            raise UserError(
                f"pooling cls takes a class token, and the {told} in {folder} has none: choose mean or a grid"
            )
        self._try(folder)

    @property
    def prefix(self) -> int:
        """The class token, registers and the like that its embeddings hold, one row each."""
        return sum(self._named.values())

    def tokens(self, pictures: Tensor) -> Tensor:
        """As of every tower, at the pictures' own size."""
        hidden: Tensor = self.model(pixel_values=pictures, **self._settings).last_hidden_state
        return hidden

    @torch.inference_mode()
    def _try(self, folder: Path) -> None:
        """UserError unless the model makes one token of each patch, the same at every time."""
        side = self._spec.image_size
        picture = torch.linspace(-1, 1, 3 * side * side, dtype=self.model.dtype).view(1, 3, side, side)
        with torch.random.fork_rng(devices=[]):
            try:
                first, second = (self.tokens(picture) for _ in range(2))
            except LOADING_FAILS as error:
                raise UserError(
                    f"the {self.model.config.model_type} in {folder} makes no latents of a picture of {side} pixels "
                    f"({in_one_line(error)}): give another image_size or encoder"
                ) from error
        self.patches(first)
        if not torch.equal(first, second):
            raise UserError(
                f"the {self.model.config.model_type} in {folder} makes other latents of the same picture each time, as "
                "models do that mask pictures at random: take another encoder"
            )


def build_small(image_size: int) -> tuple[Any, Any]:
    """``vit-small``: model and processor."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        patch_size=ENCODERS["automodel"].small_patch,
        image_size=image_size,
        initializer_range=WEIGHT_DEVIATION,
    )
    size = {"height": image_size, "width": image_size}
    return ViTModel(config, add_pooling_layer=False), ViTImageProcessor(size=size)
