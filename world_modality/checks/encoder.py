"""Is an encoder's model folder whole? From its config.json and the headers of its weights; no model is built.

The loader compares every tensor once more, against the model itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from world_modality.checks.finding import Finding
from world_modality.checks.tensors import INDEX, UNREADABLE, WEIGHTS, common_prefix, few, stored_header
from world_modality.facts.encoders import ENCODERS, EncoderFamily

PART = "encoder"
WRAPPERS = ("module.", "_orig_mod.", "backbone.", "model.", "encoder.backbone.", "teacher.", "student.")
"""What programs that train an encoder put before its names."""
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def encoder_findings(folder: Path, part: str = PART) -> list[Finding]:
    """What is wrong with a model folder, the worst first; nothing if it is whole. ``part``: who they are about."""
    return [replace(finding, part=part) for finding in _findings(folder)]


def _findings(folder: Path) -> Iterator[Finding]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        family = next((family for family in ENCODERS if family.fits(config.get("model_type"))), None)
    except (OSError, ValueError, AttributeError) as error:
        yield _error(folder / "config.json", f"cannot be read ({error}); give a model folder")
        return
    if family is None:
        message = f"describes a {config.get('model_type')}: give one of {', '.join(ENCODERS.names)}"
        yield _error(folder / "config.json", message)
        return
    yield from _without_processor(folder)
    file = folder / (WEIGHTS if (folder / WEIGHTS).is_file() else INDEX)
    if not file.is_file():
        pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
        told = f"holds {few(pickled)}, and only safetensors are read: save the weights as {WEIGHTS}"
        yield _error(folder, told if pickled else f"has no {WEIGHTS}: copy the folder anew")
        return
    try:
        own = f"{config['model_type']}."  # models with a further head put it before the encoder's names
        names = sorted(name.removeprefix(own) for name in stored_header(folder))
    except UNREADABLE as error:
        yield _error(file, f"cannot be read ({error}); copy the folder anew")
        return
    yield from _of_other_names(file, family, names)
    yield from _of_layers(file, family, config, names)


def _error(where: Path, message: str) -> Finding:
    return Finding("error", PART, str(where), message)


def _without_processor(folder: Path) -> Iterator[Finding]:
    names = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
    if not any((folder / name).is_file() for name in names):
        message = f"has none of {', '.join(names)}, which say how pictures are scaled: copy the folder anew"
        yield _error(folder, message)


def _of_other_names(file: Path, family: EncoderFamily, names: Sequence[str]) -> Iterator[Finding]:
    if not family.parts or any(name.startswith(family.parts) for name in names):
        return
    prefix = common_prefix(names, WRAPPERS)
    remedy = f"save them without '{prefix}'" if prefix else "copy the folder anew"
    yield _error(
        file,
        f"its tensors are called {few(names)}, where those of a {family.name} begin with {' or '.join(family.parts)}: "
        f"{remedy}",
    )


def _of_layers(file: Path, family: EncoderFamily, config: Mapping[str, Any], names: Sequence[str]) -> Iterator[Finding]:
    """Each of the layers that the configuration counts has the tensors that another one has, and there are no more."""
    count = config.get("num_hidden_layers")
    if not family.layers or not isinstance(count, int):
        return
    found: dict[int, set[str]] = defaultdict(set)
    for name in names:
        number, _, rest = name.removeprefix(family.layers).partition(".")
        if name.startswith(family.layers) and number.isdecimal():
            found[int(number)].add(rest)
    every = set().union(*found.values())
    lacking = [
        f"{family.layers}{layer}.{rest}" for layer in range(count) for rest in sorted(every - found.get(layer, set()))
    ]
    more = sorted(layer for layer in found if layer >= count)
    if lacking:
        yield _error(file, f"lacks {few(lacking)}, which would be drawn at random: copy the folder anew")
    elif more:
        told = f"has {family.layers}{more[0]}, but config.json says num_hidden_layers {count}"
        yield _error(file, f"{told}: the two do not belong together")
