"""Sizes of policies and encoders that lie in folders, from their files' headers; no tensor is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from world_modality.facts.policies import PolicyShape

EXPERT_TENSOR = "model.action_in_proj.weight"
"""[width of the action expert, padded action size] in every SmolVLA checkpoint."""
LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


def policy_shape(folder: Path) -> PolicyShape:
    """The shape of a LeRobot ``pretrained_model`` folder.

    Raises:
        OSError, ValueError, KeyError, TypeError: the folder is not one.
    """
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return PolicyShape(int(config["chunk_size"]), _expert_width(folder / "model.safetensors"))


def encoder_patch(folder: Path) -> int | None:
    """Pixels along a patch's side of the encoder in a Hugging Face model folder; None if it does not say."""
    try:
        return int(json.loads((folder / "config.json").read_text())["patch_size"]) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _expert_width(weights: Path) -> int | None:
    """From the JSON header, whose length in bytes is the file's first eight bytes; None if it cannot be told."""
    try:
        with weights.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, LARGEST_HEADER)))
        return int(header[EXPERT_TENSOR]["shape"][0])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
