"""Families of vision encoders: what turns a clip of frames into latents."""

from __future__ import annotations

from dataclasses import dataclass

from world_modality.facts.table import Reference, Table


@dataclass(frozen=True)
class EncoderFamily:
    """Encoders that one piece of code loads and runs."""

    name: str
    packages: tuple[str, ...]
    """Whose versions decide the latents, so that they enter the keys of what is encoded."""
    network: Reference
    """The class that loads a model folder and encodes clips with it."""
    small: tuple[str, ...] = ()
    """Small architectures of random weights that this package builds, the default first,"""
    build: Reference | None = None
    """and what builds one."""
    small_patch: int = 16
    """Pixels along the side of their patches."""


ENCODERS: Table[EncoderFamily] = Table(
    "encoder family",
    "encoders",
    (
        EncoderFamily(
            name="vjepa2",
            packages=("torch", "transformers"),
            network=Reference("world_modality.encoders.vjepa2:VJEPA2"),
            small=("vjepa2-small",),
            build=Reference("world_modality.encoders.vjepa2:build_small"),
        ),
        EncoderFamily(
            name="dinov2",
            packages=("torch", "transformers"),
            network=Reference("world_modality.encoders.dinov2:DINOv2"),
            small=("dinov2-small",),
            build=Reference("world_modality.encoders.dinov2:build_small"),
        ),
    ),
)


def small_encoders() -> dict[str, EncoderFamily]:
    """The family of every small architecture, by the architecture's name."""
    return {name: family for family in ENCODERS for name in family.small}
