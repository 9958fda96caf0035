"""Families of vision encoders: what turns a clip of frames into latents."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.facts.table import Reference, Table

POOLINGS = {"mean": 1, "grid2": 4}
"""How an encoder's patches become a frame's tokens, and P, how many that are: the mean of all patches, or the mean of
each quarter of the picture."""


@dataclass(frozen=True)
class EncoderFamily:
    """Encoders that one piece of code loads and runs."""

    name: str
    model_type: str
    """What the model type in a folder's config.json begins with."""
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
    parts: tuple[str, ...] = ()
    """What the names of all tensors begin with that latents are made of."""
    layers: str = ""
    """What the names of a layer's tensors begin with, before its number; "" if it is not known."""
    scaler: str = ""
    """Which of transformers' processors scales its pictures, by its name in processor_config.json; "" if none of them
    does."""
    unused: tuple[str, ...] = ()
    """What the names of tensors begin with that transformers builds and no latent depends on."""

    def fits(self, model_type: object) -> bool:
        """Whether a model folder of that type is of this family."""
        return str(model_type).startswith(self.model_type)


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
        ),
    ),
)


def small_encoders() -> dict[str, EncoderFamily]:
    """The family of every small architecture, by the architecture's name."""
    return {name: family for family in ENCODERS for name in family.small}
