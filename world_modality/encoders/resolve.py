"""An encoder that someone names outside a study: a model folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.facts.encoders import ENCODERS, POOLINGS
from world_modality.store.hub import find_folder
from world_modality.study.specs import EncoderSpec


@dataclass(frozen=True)
class ResolvedEncoder:
    """Where the model lies on this machine, what it is, and its latents: P tokens of D numbers."""

    folder: Path
    spec: EncoderSpec
    tokens: int
    dim: int


def resolve_encoder(
    name: str, *, frames: int, image_size: int | None, dtype: str, pooling: str = "mean"
) -> ResolvedEncoder:
    """Look up ``name``: a folder, ``<hub id>`` or ``<hub id>@<revision>``, and complete the specification.

    Args:
        frames: m, the clip's length.
        image_size: pixels of the model's input; None for what the model was trained on.
        dtype: in which it computes.
        pooling: how its patches become a frame's tokens.

    Raises:
        UserError: there is no such encoder, or it is of a kind that is not known here.
    """
    folder, commit = find_folder(name, patterns=ENCODER.patterns)
    config = read_model_config(folder)
    family = next((family for family in ENCODERS if family.fits(config.get("model_type"))), None)
    if family is None:
        raise UserError(
            f"the model in {folder} is a {config.get('model_type')}: give one of {', '.join(ENCODERS.names)}"
        )
    fields = {
        "kind": family.name,
        "source": "folder" if commit is None else "hub",
        "name": str(folder.resolve()) if commit is None else name.partition("@")[0],
        "revision": ENCODER.digest(folder) if commit is None else commit,
        "seed": 0,
        "frames": frames,
        "image_size": image_size or family.image_size.load()(config),
        "pooling": pooling,
        "dtype": dtype,
    }
    return at_hand(EncoderSpec.model_validate(fields), folder)


def at_hand(spec: EncoderSpec, folder: Path) -> ResolvedEncoder:
    """The encoder ``spec``, whose model lies in ``folder``."""
    return ResolvedEncoder(folder, spec, POOLINGS[spec.pooling], int(read_model_config(folder)["hidden_size"]))


def read_model_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model folder, with D as ``hidden_size``; UserError if it is none."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        _ = int(config["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} holds no encoder: it has no config.json that describes a vision model") from error
    return config
