"""An encoder that someone names outside a study: a model folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.data.hub import ENCODER
from world_modality.errors import UserError
from world_modality.facts.encoders import ENCODERS, POOLINGS, family_of
from world_modality.facts.model_configs import plain_config, shows_pictures
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
    family = family_of(config)
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
    """The config.json of a model folder in the words of :func:`plain_config`, with D as ``hidden_size``.

    UserError if it is none.
    """
    try:
        config = plain_config(json.loads((folder / "config.json").read_text()))
        if "hidden_size" not in config and shows_pictures(config):
            config = _with_defaults(config)
        _ = int(config["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} holds no encoder: it has no config.json that describes a vision model") from error
    return config


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """A tower's configuration with what only transformers knows, where its config.json holds what differs from it."""
    from transformers import AutoConfig

    return plain_config({**AutoConfig.for_model(**config).to_dict(), **config})
