"""What a file of latents says of itself: the earlier system's caches do so by their names and metadata.

It kept a dataset's latents as ``<split>_world_latents_<source>[_m<frames>].fp16.npy`` in a folder
``<cache_dir>/<dataset>``, with what made them in a file ``..._metadata.json`` beside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.encoders import POOLINGS
from world_modality.study.specs import EncoderSpec

LATENTS = "latents.npy"
"""The name of our own caches' file; what made it stands in ``latents.json`` beside it."""
CACHED = re.compile(r"(?P<split>.+)_world_latents_(?P<source>[a-z]+)(?:_m(?P<frames>[1-9]\d*))?(?:\.fp16)?\.npy")
KINDS = {"vjepa": "vjepa2", "dino": "dinov2"}
"""The encoder family of each source in such a file's name."""


def earlier_name(split: str, source: str, frames: int) -> str:
    """What the earlier system called a file of latents.

    >>> earlier_name("train", "vjepa", 4)
    'train_world_latents_vjepa_m4.fp16.npy'
    """
    return f"{split}_world_latents_{source}{f'_m{frames}' if frames > 1 else ''}.fp16.npy"


@dataclass(frozen=True)
class Claimed:
    """What a file of latents says of itself, by its name and by the metadata beside it; None where it says nothing."""

    file: Path
    kind: str | None = None  # encoder family
    frames: int | None = None  # of a clip
    rows: int | None = None  # frames of the dataset
    dim: int | None = None
    pooling: str | None = None
    encoder: EncoderSpec | None = None  # all of it; only a cache of ours says that, and
    camera: str | None = None
    dataset: str | None = None  # its fingerprint

    def require_encoder(self, given: EncoderSpec) -> None:
        """UserError that names the first setting in which the encoder that the file says made it is not the given one.

        A model's name and revision are compared where both come from the same kind of source: a folder may hold the
        hub's.
        """
        if self.encoder is None:
            return
        theirs, ours = self.encoder.address(), given.address()
        model = ("name", "revision", "seed") if theirs["source"] == ours["source"] else ()
        for name in (*model, "image_size", "dtype", "batch"):
            if theirs[name] != ours[name]:
                raise UserError(
                    f"{self.file} says that it was made by an encoder of {name} {theirs[name]}, where the given one "
                    f"has {ours[name]}: give what it was made with"
                )

    def require_dataset(self, *, camera: str, dataset: str) -> None:
        """UserError if the file says that it was made of another camera, or of a dataset of another fingerprint."""
        for name, said, given in (("camera", self.camera, camera), ("dataset", self.dataset, dataset)):
            if said not in (None, given):
                what = "frames of camera" if name == "camera" else "a dataset of the fingerprint"
                raise UserError(
                    f"{self.file} says that it was made of {what} {said}, where the given one is {given}: give what it "
                    "was made from"
                )

    def require(self, *, kind: str, frames: int, pooling: str, rows: int, dim: int) -> None:
        """UserError that names the first of these that the file says otherwise."""
        asked = {"kind": kind, "frames": frames, "pooling": pooling, "rows": rows, "dim": dim}
        words = {
            "kind": ("an encoder of family", "the given one is"),
            "frames": ("clips of this many frames:", "the given clips have"),
            "pooling": ("pooling", "the given one is"),
            "rows": ("a dataset of this many frames:", "the given one has"),
            "dim": ("latents of this many numbers:", "the encoder's have"),
        }
        for name, value in asked.items():
            said = getattr(self, name)
            if said not in (None, value):
                theirs, ours = words[name]
                raise UserError(
                    f"{self.file} says that it was made with {theirs} {said}, where {ours} {value}: give what it was "
                    "made from"
                )


def find_published(path: Path) -> Path:
    """A file of latents: ``path`` itself, or the one in a folder of ours or an earlier cache's folder of a dataset.

    UserError if it holds none, or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.glob("*.npy") if file.name == LATENTS or CACHED.fullmatch(file.name))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise UserError(f"{path} holds {names} of a cache's files of latents: give one file")
    return found[0]


def claimed(file: Path) -> Claimed:
    """What a file of latents says of itself; UserError if name and metadata disagree or it was never finished."""
    if file.name == LATENTS:
        return _described(file)
    named = CACHED.fullmatch(file.name)
    if named is None:
        return Claimed(file)
    if named["source"] not in KINDS:
        raise UserError(f"{file} is named after the source {named['source']}: only {', '.join(KINDS)} are known")
    frames = int(named["frames"] or 1)
    metadata = _metadata(file)
    window = _number(metadata, "temporal_window", file)
    if window not in (None, frames):
        raise UserError(
            f"{file} is named after clips of {frames} frames, and its metadata say {window}: do not use it before you "
            "know which is right"
        )
    rows, done = _number(metadata, "frames", file), _number(metadata, "resume_row", file)
    if None not in (rows, done) and done != rows:
        raise UserError(f"{file}: by its metadata it was filled up to row {done} of {rows}: make the file again")
    pooling = metadata.get("pooling")
    return Claimed(
        file,
        KINDS[named["source"]],
        frames,
        rows,
        _number(metadata, "dim", file),
        pooling if pooling in POOLINGS else None,  # other words for it are not known
    )


def _described(file: Path) -> Claimed:
    """What a cache of ours says; nothing if its description is not beside it."""
    beside = file.with_suffix(".json")
    if not beside.is_file():
        return Claimed(file)
    try:
        said = json.loads(beside.read_text())
        encoder, rows, dim = EncoderSpec.model_validate(said["encoder"]), int(said["frames"]), int(said["dim"])
        return Claimed(
            file,
            encoder.kind,
            encoder.frames,
            rows,
            dim,
            encoder.pooling,
            encoder,
            str(said["camera"]),
            str(said["dataset_fingerprint"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{beside} does not describe latents ({error}): copy the folder anew") from error


def _metadata(file: Path) -> Mapping[str, Any]:
    """The JSON object beside an earlier cache's file; empty if there is none, as beside one that never was finished."""
    stem = file.name.removesuffix(".npy")
    for name in (f"{stem}_metadata.json", f"{stem.removesuffix('.fp16')}_metadata.json"):
        beside = file.with_name(name)
        if beside.is_file():
            try:
                found = json.loads(beside.read_text())
            except (OSError, ValueError) as error:
                raise UserError(f"{beside} cannot be read ({error}): copy it anew, or remove it") from error
            if not isinstance(found, dict):
                raise UserError(f"{beside} holds no JSON object: copy it anew, or remove it")
            return found
    return {}


def _number(metadata: Mapping[str, Any], name: str, file: Path) -> int | None:
    value = metadata.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise UserError(f"the metadata beside {file} say {name} {value!r}, which is no number: correct or remove them")
    return value
