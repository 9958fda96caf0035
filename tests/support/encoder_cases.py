"""A small encoder of random weights for every family, and for what one family has several of, in a folder each.

Written by the libraries' own classes, as real ones are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from support.data_stages import encoder_spec
from torch import Tensor, nn

from world_modality.encoders.source import build_embedded_encoder
from world_modality.study.specs import EncoderSpec

CHANNELS = 6  # of the scripted tokenizers' latents
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "patch_size": 8,
    "image_size": 32,
}


def embedded(kind: str, name: str) -> Callable[[Path], None]:
    return lambda folder: build_embedded_encoder(encoder_spec(kind, name=name), folder)


def saved(tower: str, **changes: Any) -> Callable[[Path], None]:
    """A model of transformers by its class, and a processor."""

    def write(folder: Path) -> None:
        import transformers

        config = getattr(transformers, f"{tower}Config")(**{**SIZES, **changes})
        getattr(transformers, f"{tower}Model")(config).save_pretrained(folder)
        processor(folder)

    return write


def processor(folder: Path, mean: float = 0.4, deviation: float = 0.3) -> None:
    """One that crops by default, as CLIP's does, with a mean and a deviation of its own."""
    from transformers import CLIPImageProcessor

    CLIPImageProcessor(image_mean=[mean] * 3, image_std=[deviation] * 3).save_pretrained(folder)


def convnext(folder: Path) -> None:
    from transformers import DINOv3ConvNextConfig, DINOv3ConvNextModel

    config = DINOv3ConvNextConfig(hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_scale_init_value=1.0)
    DINOv3ConvNextModel(config).save_pretrained(folder)
    processor(folder)


def two_towers(folder: Path) -> None:
    """A whole CLIP, of which the vision tower is meant."""
    from transformers import CLIPConfig, CLIPModel

    words = {key: SIZES[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads")}
    text = {**words, "num_hidden_layers": 1, "vocab_size": 20, "max_position_embeddings": 8}
    CLIPModel(CLIPConfig(vision_config=SIZES, text_config=text)).save_pretrained(folder)
    processor(folder)


class PictureTokens(nn.Module):
    """Pictures [B, 3, S, S] -> latents [B, C, S / 8, S / 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, CHANNELS, 8, stride=8)

    def forward(self, frames: Tensor) -> Tensor:
        return torch.tanh(self.patches(frames))


class VideoTokens(nn.Module):
    """Videos [B, 3, 1 + 4 k, S, S] -> latents [B, C, 1 + k, S / 8, S / 8], causal, and something else, as Cosmos'."""

    def __init__(self) -> None:
        super().__init__()
        self.cubes = nn.Conv3d(3, CHANNELS, (4, 8, 8), stride=(4, 8, 8))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        latents = torch.tanh(self.cubes(F.pad(frames, (0, 0, 0, 0, 3, 0), mode="replicate")))
        return latents, latents.mean()


def scripted(tokenizer: Callable[[], nn.Module], **config: Any) -> Callable[[Path], None]:
    """A TorchScript file, and the config.json that whoever uses one writes beside it."""

    def write(folder: Path) -> None:
        torch.jit.script(tokenizer()).save(str(folder / "encoder.jit"))
        said = {"model_type": "torchscript", "hidden_size": CHANNELS, "patch_size": 8, "image_size": 32, **config}
        (folder / "config.json").write_text(json.dumps(said))

    return write


@dataclass(frozen=True)
class Case:
    """How such an encoder is written, and what it is like."""

    kind: str
    write: Callable[[Path], None]
    patch: int
    sees: str  # "frames" one by one, or the "clip"
    dim: int
    prefix: int = 0  # tokens before the patches
    class_token: bool = False
    mean: tuple[float, float, float] = (0.4, 0.4, 0.4)  # of its processor
    deviation: tuple[float, float, float] = (0.3, 0.3, 0.3)
    pixels: int = 32

    def spec(self, folder: Path, frames: int = 3, kind: str = "", **changes: object) -> EncoderSpec:
        """The encoder in ``folder``, allowed to run if it is a program."""
        program = folder / "encoder.jit"
        run = hashlib.sha256(program.read_bytes()).hexdigest() if program.is_file() else None
        own = {"source": "folder", "name": str(folder), "image_size": self.pixels, "torchscript": run}
        return encoder_spec(kind or self.kind, frames, **{**own, **changes})


IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "deviation": (0.229, 0.224, 0.225)}
SIGNED: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "deviation": (0.5, 0.5, 0.5)}
CASES: dict[str, Case] = {
    "vjepa2": Case("vjepa2", embedded("vjepa2", "vjepa2-small"), 16, "clip", 128, **IMAGENET),
    "dinov2": Case("dinov2", embedded("dinov2", "dinov2-small"), 16, "frames", 128, 1, True, **IMAGENET),
    "dinov2_registers": Case(
        "dinov2", saved("Dinov2WithRegisters", num_register_tokens=3, mlp_ratio=2), 8, "frames", 32, 4, True
    ),
    "dinov3": Case("dinov3", embedded("dinov3", "dinov3-small"), 16, "frames", 128, 5, True, **IMAGENET),
    "dinov3_convnext": Case("dinov3_convnext", convnext, 32, "frames", 32, 1, True, pixels=64),
    "vit": Case("automodel", embedded("automodel", "vit-small"), 16, "frames", 128, 1, True, **SIGNED),
    "deit": Case("automodel", saved("DeiT"), 8, "frames", 32, 2, True),
    "ijepa": Case("automodel", saved("IJepa"), 8, "frames", 32),
    "siglip": Case("automodel", saved("SiglipVision"), 8, "frames", 32),
    "clip": Case("automodel", two_towers, 8, "frames", 32, 1, True),
    "cogvideox": Case("cogvideox", embedded("cogvideox", "cogvideox-small"), 8, "clip", 16, **SIGNED),
    "script_pictures": Case("torchscript", scripted(PictureTokens), 8, "frames", CHANNELS, **SIGNED),
    "script_videos": Case("torchscript", scripted(VideoTokens, temporal_compression=4), 8, "clip", CHANNELS, **SIGNED),
}
