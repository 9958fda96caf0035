"""Families of vision encoders: what turns a clip of frames into latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from world_modality.facts.model_configs import shows_pictures
from world_modality.facts.table import Reference, Table

Pooling = Literal["mean", "cls", "grid2", "grid4", "grid8", "grid16"]
"""How an encoder's patches become a frame's tokens: the mean of all patches, the class token alone, or the means of the
fields of a grid of so many along each side."""
GRIDS = {"grid2": 2, "grid4": 4, "grid8": 8, "grid16": 16}
"""Fields along a side of each grid."""
POOLINGS = {"mean": 1, "cls": 1, **{name: side**2 for name, side in GRIDS.items()}}
"""P, how many tokens of a frame that makes."""


@dataclass(frozen=True)
class EncoderFamily:
    """Encoders that one piece of code loads and runs."""

    name: str
    model_type: str
    """What the model type in a folder's config.json begins with; "" if it may be any of no other family's."""
    packages: tuple[str, ...]
    """Whose versions decide the latents, so that they enter the keys of what is encoded."""
    network: Reference
    """``(spec, folder) -> Network``: loads a model folder; see encoders/encoder.py."""
    image_size: Reference
    """``config -> int``: pixels along the side of the pictures that a model was trained on, by its config.json."""
    small: tuple[str, ...] = ()
    """Small architectures of random weights that this package builds, the default first,"""
    build: Reference | None = None
    """and what builds one of the global generator's draws, ``image_size -> parts``: what makes its folder, each part by
    its ``save_pretrained(folder)``, such as model and processor."""
    small_patch: int = 16
    """Pixels along the side of their patches."""
    trained: Mapping[str, int] = field(default_factory=dict)
    """Small encoders that are trained here and put into this package, and the pixels along a side of their patches."""
    parts: tuple[str, ...] = ()
    """What the names of all tensors begin with that latents are made of."""
    layers: str = ""
    """What the names of a layer's tensors begin with, before its number; "" if it is not known."""
    scaler: str = ""
    """Which of transformers' processors scales its pictures, by its name in processor_config.json; "" if none of them
    does."""
    unused: tuple[str, ...] = ()
    """What the names of tensors begin with that transformers builds and no latent depends on."""
    class_token: bool = False
    """Whether a model of it can have a token for the whole picture, which pooling ``cls`` takes."""
    weights: str = "model.safetensors"
    """The file of a folder that holds the weights."""
    program: bool = False
    """Whether that file is executed when it is loaded, so that a study must name its digest and allow it."""

    def fits(self, model_type: object) -> bool:
        """Whether a model folder of that type is of this family, if it is of no other."""
        return str(model_type).startswith(self.model_type)

    def patch_of(self, name: str) -> int:
        """Pixels along the side of the patches of one of the package's encoders."""
        return self.trained.get(name, self.small_patch)


ENCODERS: Table[EncoderFamily] = Table(
    "encoder family",
    "encoders",
    (
        EncoderFamily(
            name="vjepa2",
            model_type="vjepa2",
            packages=("torch", "transformers"),
            network=Reference("world_modality.encoders.vjepa2:VJEPA2"),
            image_size=Reference("world_modality.encoders.vjepa2:image_size"),
            small=("vjepa2-small",),
            build=Reference("world_modality.encoders.vjepa2:build_small"),
            trained={"vjepa2-libero": 8},
            parts=("encoder.",),
            layers="encoder.layer.",
            scaler="video_processor",
            unused=("predictor.",),
        ),
        EncoderFamily(
            name="dinov2",
            model_type="dinov2",
            packages=("torch", "transformers"),
            network=Reference("world_modality.encoders.dinov2:DINOv2"),
            image_size=Reference("world_modality.encoders.dinov2:image_size"),
            small=("dinov2-small",),
            build=Reference("world_modality.encoders.dinov2:build_small"),
            parts=("embeddings.", "encoder.", "layernorm."),
            layers="encoder.layer.",
            scaler="image_processor",
            unused=("embeddings.mask_token",),  # for training on masked pictures
            class_token=True,
        ),
        EncoderFamily(
            name="dinov3",
            model_type="dinov3_vit",
            packages=("torch", "transformers"),
            network=Reference("world_modality.encoders.dinov3:DINOv3"),
            image_size=Reference("world_modality.encoders.tower:image_size"),
            small=("dinov3-small",),
            build=Reference("world_modality.encoders.dinov3:build_small"),
            parts=("embeddings.", "layer.", "model.layer.", "norm."),  # transformers 4 wrote "layer."
            scaler="image_processor",
            unused=("embeddings.mask_token",),
            class_token=True,
        ),
        EncoderFamily(
            name="dinov3_convnext",
            model_type="dinov3_convnext",
            packages=("torch", "transformers"),
            network=Reference("world_modality.encoders.dinov3:DINOv3ConvNeXt"),
            image_size=Reference("world_modality.encoders.tower:image_size"),
            parts=("stages.", "model.stages.", "layer_norm."),
            scaler="image_processor",
            class_token=True,
        ),
        EncoderFamily(
            name="automodel",
            model_type="",
            packages=("torch", "transformers"),
            network=Reference("world_modality.encoders.automodel:AutoTower"),
            image_size=Reference("world_modality.encoders.tower:image_size"),
            small=("vit-small",),
            build=Reference("world_modality.encoders.automodel:build_small"),
            scaler="image_processor",
            # Pooling heads, and what is for training: latents are made of the last hidden states.
            unused=("pooler.", "embeddings.mask_token", "head.", "vision_model.head."),
            class_token=True,
        ),
        EncoderFamily(
            name="cogvideox",
            model_type="AutoencoderKLCogVideoX",
            packages=("diffusers", "torch"),
            network=Reference("world_modality.encoders.cogvideox:CogVideoX"),
            image_size=Reference("world_modality.encoders.tower:image_size"),
            small=("cogvideox-small",),
            build=Reference("world_modality.encoders.cogvideox:build_small"),
            small_patch=8,
            parts=("encoder.", "quant_conv."),
            unused=("decoder.", "post_quant_conv."),
            weights="diffusion_pytorch_model.safetensors",
        ),
        EncoderFamily(
            name="torchscript",
            model_type="torchscript",
            packages=("torch",),
            network=Reference("world_modality.encoders.torchscript:ScriptedTokenizer"),
            image_size=Reference("world_modality.encoders.tower:image_size"),
            weights="encoder.jit",
            program=True,
        ),
    ),
)


def family_of(config: Mapping[str, Any]) -> EncoderFamily | None:
    """The family of a model whose plain config.json this is: the one that says the most of its type; None if none."""
    model_type = config.get("model_type")
    if not shows_pictures(config):
        return next((family for family in ENCODERS if family.model_type and family.fits(model_type)), None)
    return max((family for family in ENCODERS if family.fits(model_type)), key=lambda family: len(family.model_type))


def small_encoders() -> dict[str, EncoderFamily]:
    """The family of every encoder of this package, random or trained, by its name."""
    return {name: family for family in ENCODERS for name in (*family.small, *family.trained)}
