"""The config.json of a vision model in one vocabulary, whichever library wrote it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONVOLUTIONS_STRIDE = 4
"""Pixels along the side of a patch that the first stage of a ConvNeXt makes one of; every further stage halves."""


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What config.json says of a vision model, with what every family's is asked for under transformers' usual names.

    These are ``model_type``, ``hidden_size`` (D), ``patch_size`` and ``image_size`` in pixels along a side, as far as
    it says them. Of a model with a tower for pictures and one for words it is what it says of the pictures'. diffusers
    calls the type ``_class_name`` and D ``latent_channels``; each of its blocks but the last halves the picture.
    """
    found = dict(config)
    tower = found.get("vision_config")
    if isinstance(tower, Mapping):
        found = dict(tower)
    if "_class_name" in found:
        found.setdefault("model_type", found["_class_name"])
        if "latent_channels" in found:
            found["hidden_size"] = found["latent_channels"]
        if isinstance(found.get("block_out_channels"), list | tuple):
            found["patch_size"] = 2 ** (len(found["block_out_channels"]) - 1)
        if "sample_height" in found and "sample_width" in found:
            found["image_size"] = min(found["sample_height"], found["sample_width"])
    elif isinstance(found.get("hidden_sizes"), list | tuple) and found["hidden_sizes"]:
        found.setdefault("hidden_size", found["hidden_sizes"][-1])
        found.setdefault("patch_size", CONVOLUTIONS_STRIDE * 2 ** (len(found["hidden_sizes"]) - 1))
    for name in ("patch_size", "image_size"):
        if isinstance(found.get(name), list | tuple) and len(set(found[name])) == 1:
            found[name] = found[name][0]
    return found


def shows_pictures(config: Mapping[str, Any]) -> bool:
    """Whether a plain config describes a model that pictures are shown to, of whatever type."""
    named = "vision" in str(config.get("model_type"))
    return bool(config.get("model_type")) and (named or "patch_size" in config or "image_size" in config)
