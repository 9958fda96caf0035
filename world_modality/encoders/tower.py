"""A transformer for pictures, which sees a clip's frames one by one: what its families have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from world_modality.encoders.encoder import load_model, pool, resizing
from world_modality.errors import UserError
from world_modality.facts.model_configs import plain_config
from world_modality.study.specs import EncoderSpec


class Tower:
    """z = the mean over the clip's frames of their pooled patches, or of their class tokens.

    The last hidden state begins with ``prefix`` tokens, the class token and registers, and goes on with one token per
    patch, row by row. Tokens of the prefix are never pooled as patches.
    """

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        from transformers import AutoImageProcessor

        self.model = load_model(spec, folder)
        config = plain_config(self.model.config.to_dict())
        self.dim = int(config["hidden_size"])
        self._spec = spec
        self._patches = (spec.image_size // int(config["patch_size"])) ** 2
        self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    @property
    def prefix(self) -> int:
        """Tokens before the patches': by default a class token and the registers that the configuration counts."""
        return 1 + int(getattr(self.model.config, "num_register_tokens", 0))

    def process(self, pixels: Tensor) -> Tensor:
        """Each frame as a picture."""
        prepared: Tensor = self._processor(images=list(pixels), **resizing(self._spec))["pixel_values"]
        return prepared

    def latents(self, clips: Tensor) -> Tensor:
        """[B, m, 3, S, S] -> [B, P, D]."""
        tokens = self.tokens(clips.flatten(0, 1))
        patches = self.patches(tokens).float()
        kept = tokens[:, :1].float() if self._spec.pooling == "cls" else pool(patches, self._spec.pooling)
        return kept.reshape(*clips.shape[:2], -1, self.dim).mean(dim=1)

    def tokens(self, pictures: Tensor) -> Tensor:
        """The last hidden state [F, prefix + G * G, D] of pictures [F, 3, S, S]."""
        hidden: Tensor = self.model(pixel_values=pictures).last_hidden_state
        return hidden

    def patches(self, tokens: Tensor) -> Tensor:
        """A last hidden state without its prefix, [F, G * G, D]; UserError if there are more or fewer."""
        patches = tokens[:, self.prefix :]
        if patches.shape[1] != self._patches:
            raise UserError(
                f"the encoder {self._spec.name} makes {tokens.shape[1]} tokens of a picture of {self._spec.image_size} "
                f"pixels, where its configuration says {self.prefix} and {self._patches} of patches: which is which is "
                "not known, so take another encoder"
            )
        return patches


def image_size(config: Mapping[str, Any]) -> int:
    """What the configuration says that it was trained on; UserError if it says nothing."""
    if not isinstance(config.get("image_size"), int):
        raise UserError("its config.json says no image_size: give one, in pixels along a side")
    return int(config["image_size"])
