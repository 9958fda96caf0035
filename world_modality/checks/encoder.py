"""Is an encoder's model folder whole? From its config.json and the headers of its weights; no model is built.

The loader compares every tensor once more, against the model itself.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from world_modality.checks.finding import Finding
from world_modality.checks.tensors import (
    UNREADABLE,
    common_prefix,
    few,
    index_of,
    stored_files,
    stored_header,
    zero_tail,
)
from world_modality.facts.encoders import ENCODERS, EncoderFamily, family_of
from world_modality.facts.model_configs import plain_config

PART = "encoder"
WRAPPERS = ("module.", "_orig_mod.", "backbone.", "model.", "encoder.backbone.", "teacher.", "student.")
"""What programs that train an encoder put before its names."""
PROCESSORS = "processor_config.json"
SCALERS = {
    "image_processor": ("preprocessor_config.json",),
    "video_processor": ("video_preprocessor_config.json", "preprocessor_config.json"),
}
"""The files of one processor alone; transformers reads the first one that is there, unless ``PROCESSORS`` holds it."""
BYTE = 1 / 255
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def encoder_findings(folder: Path, part: str = PART) -> list[Finding]:
    """What is wrong with a model folder, the worst first; nothing if it is whole. ``part``: who they are about."""
    return [replace(finding, part=part) for finding in _findings(folder)]


def _findings(folder: Path) -> Iterator[Finding]:
    try:
        config = plain_config(json.loads((folder / "config.json").read_text()))
        family = family_of(config)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        yield _error(folder / "config.json", f"cannot be read ({error}); give a model folder")
        return
    if family is None:
        message = f"describes a {config.get('model_type')}: give one of {', '.join(ENCODERS.names)}"
        yield _error(folder / "config.json", message)
        return
    if family.scaler:
        yield from _without_processor(folder)
        yield from _of_scaling(folder, family)
    weights = family.weights
    file = folder / (weights if (folder / weights).is_file() else index_of(weights))
    if not file.is_file():
        pickled = [] if family.program else sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
        told = f"holds {few(pickled)}, and only safetensors are read: save the weights as {weights}"
        yield _error(folder, told if pickled else f"has no {weights}: copy the folder anew")
    elif not family.program:  # of which nothing can be told without running it
        yield from _of_weights(file, family, config)


def _of_weights(file: Path, family: EncoderFamily, config: Mapping[str, Any]) -> Iterator[Finding]:
    folder, weights = file.parent, family.weights
    try:
        own = f"{config['model_type']}."  # models with a further head put it before the encoder's names
        names = sorted(name.removeprefix(own) for name in stored_header(folder, weights))
        zeros = [name for part in stored_files(folder, weights) for name in zero_tail(part)]
    except UNREADABLE as error:
        yield _error(file, f"cannot be read ({error}); copy the folder anew")
        return
    if zeros:
        yield _error(file, f"holds nothing but zeros in {few(zeros)}, up to its end: copy the folder anew")
    yield from _of_other_names(file, family, names)
    yield from _of_layers(file, family, config, names)


def _error(where: Path, message: str) -> Finding:
    return Finding("error", PART, str(where), message)


def _without_processor(folder: Path) -> Iterator[Finding]:
    names = (*reversed(SCALERS["video_processor"]), PROCESSORS)
    if not any((folder / name).is_file() for name in names):
        message = f"has none of {', '.join(names)}, which say how pictures are scaled: copy the folder anew"
        yield _error(folder, message)


def _of_scaling(folder: Path, family: EncoderFamily) -> Iterator[Finding]:
    """Settings by which the encoder's pictures would be other numbers than those it was trained on."""
    for name in (PROCESSORS, *SCALERS[family.scaler]):
        file = folder / name
        if not file.is_file():
            continue
        try:
            settings: Any = json.loads(file.read_text())
            settings = settings.get(family.scaler) if name == PROCESSORS else settings
            if settings is None:
                continue  # it is in a file of its own
            problems = _wrong_scaling({key: value for key, value in settings.items() if value is not None})
        except (*UNREADABLE, AttributeError) as error:
            yield _error(file, f"cannot be read ({error}); copy the folder anew")
            return
        yield from (_error(file, f"{problem}: copy the file anew") for problem in problems)
        return


def _wrong_scaling(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with a processor's settings, without those that are null.

    In place of a missing mean transformers takes its own, which is often another model's.
    """
    found = [
        f"{key} is {settings[key]}, and the encoder was trained on scaled pictures"
        for key in ("do_rescale", "do_normalize")
        if not settings.get(key, True)
    ]
    factor = settings.get("rescale_factor", BYTE)
    if not math.isclose(factor, BYTE, rel_tol=0.02):  # 1/256 is usual, too
        found.append(f"rescale_factor is {factor}, where numbers of 0 to 255 become 0 to 1 by {BYTE:.6f}")
    for key in ("image_mean", "image_std"):
        value: Any = settings.get(key)
        numbers = value if isinstance(value, list) else [value] if key in settings else []
        if not numbers:
            found.append(f"has no {key}, by which pictures are scaled")
        elif not all(0 <= number <= 1 for number in numbers) or (key == "image_std" and not all(numbers)):
            allowed = "0" if key == "image_mean" else "above 0"
            found.append(f"{key} is {value}, where it must be {allowed} to 1, as pictures lie in 0 to 1")
    return found


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
