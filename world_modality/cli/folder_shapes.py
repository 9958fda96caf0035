"""Sizes that a study must fit, as the files of a policy or an encoder tell them."""

from __future__ import annotations

import json
from pathlib import Path

from world_modality.facts.model_configs import plain_config
from world_modality.facts.policies import PolicyShape, known_family
from world_modality.policies.config_file import read_config_file

LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


def policy_shape(folder: Path) -> PolicyShape:
    """The shape of a LeRobot ``pretrained_model`` folder, as far as it can be told; UserError if it is none."""
    config = read_config_file(folder)
    family = known_family(config["type"])
    width = _first_size(folder / "model.safetensors", family.width_tensor if family else "")
    return PolicyShape(int(config["chunk_size"]) if "chunk_size" in config else None, width)


def encoder_patch(folder: Path) -> int | None:
    """Pixels along a patch's side of the encoder in a Hugging Face model folder; None if it does not say."""
    try:
        return int(plain_config(json.loads((folder / "config.json").read_text()))["patch_size"]) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _first_size(weights: Path, tensor: str) -> int | None:
    """A tensor's, from the JSON header, whose length is the file's first eight bytes; None if it cannot be told."""
    try:
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, LARGEST_HEADER)))
        return int(header[tensor]["shape"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
