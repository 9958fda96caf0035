"""An encoder that is no model of a library: patches of the mean picture of a clip, projected at random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from world_modality.encoders.encoder import DTYPES, pool
from world_modality.study.specs import EncoderSpec

DIM = 16


class Projection(nn.Module):
    """Patches [B, 3, S, S] -> [B, G * G, DIM]."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.weight = nn.Parameter(torch.randn(DIM, 3, patch, patch) / patch)

    @property
    def device(self) -> torch.device:
        return self.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype

    def forward(self, pictures: Tensor) -> Tensor:
        return nn.functional.conv2d(pictures, self.weight, stride=self.patch).flatten(2).transpose(1, 2)

    def save_pretrained(self, folder: Path) -> None:
        config = {"model_type": "glance", "hidden_size": DIM, "patch_size": self.patch}
        (folder / "config.json").write_text(json.dumps(config))
        save_file(dict(self.state_dict()), folder / "model.safetensors")


class Glance:
    """z = the projected patches of the mean of a clip's frames, pooled."""

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        self.model = Projection(json.loads((folder / "config.json").read_text())["patch_size"])
        self.model.load_state_dict(load_file(folder / "model.safetensors"))
        self.model.to(DTYPES[spec.dtype])
        self.dim = DIM
        self._spec = spec

    def process(self, pixels: Tensor) -> Tensor:
        size = (self._spec.image_size, self._spec.image_size)
        return nn.functional.interpolate(pixels.float() / 127.5 - 1, size, mode="bilinear", antialias=True)

    def latents(self, clips: Tensor) -> Tensor:
        return pool(self.model(clips.mean(dim=1)).float(), self._spec.pooling)


def image_size(_config: Mapping[str, Any]) -> int:
    """It was never trained: any size will do."""
    return 32


def build(_image_size: int) -> tuple[Projection]:
    """``glance-16``."""
    return (Projection(patch=8),)
