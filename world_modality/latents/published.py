"""A file of latents that someone else made: one row per frame of a dataset, to be doubted before it is used.

The earlier system kept a dataset's latents as ``<split>_world_latents_<source>[_m<frames>].fp16.npy`` in a folder
``<cache_dir>/<dataset>``, with what made them in a file ``..._metadata.json`` beside. Both are held against what is
claimed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.facts.encoders import POOLINGS

ROWS_AT_ONCE = 16384  # bounds memory


CACHED = re.compile(r"(?P<split>.+)_world_latents_(?P<source>[a-z]+)(?:_m(?P<frames>[1-9]\d*))?(?:\.fp16)?\.npy")
KINDS = {"vjepa": "vjepa2", "dino": "dinov2"}
"""The encoder family of each source in such a file's name."""


@dataclass(frozen=True)
class Claimed:
    """What a file of latents says of itself, by its name and by the metadata beside it; None where it says nothing."""

    file: Path
    kind: str | None = None  # encoder family
    frames: int | None = None  # of a clip
    rows: int | None = None  # frames of the dataset
    dim: int | None = None
    pooling: str | None = None

    def require(self, *, kind: str, frames: int, pooling: str, rows: int, dim: int) -> None:
        """UserError that names the first of these that the file says otherwise."""
        asked = {"kind": kind, "frames": frames, "pooling": pooling, "rows": rows, "dim": dim}
        words = {
            "kind": ("an encoder of family", "--encoder is one of"),
            "frames": ("clips of this many frames:", "--frames is"),
            "pooling": ("pooling", "here it is"),
            "rows": ("a dataset of this many frames:", "--dataset has"),
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
    """A file of latents: ``path`` itself, or the one that an earlier cache's folder of a dataset holds.

    UserError if it holds none, or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.glob("*.npy") if CACHED.fullmatch(file.name))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise UserError(f"{path} holds {names} of an earlier cache's files of latents: give one file")
    return found[0]


def claimed(file: Path) -> Claimed:
    """What a file of latents says of itself; UserError if name and metadata disagree or it was never finished."""
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


def open_published(file: Path, *, frames: int, tokens: int, dim: int) -> NDArray[np.float16]:
    """The file's rows, float16 [frames, tokens, dim], memory-mapped and read-only, after every row was looked at.

    Args:
        file: a ``.npy`` file of that shape; of pooled latents, whose one token has no axis, [frames, dim].
        frames: of the dataset.
        tokens: that stand for a frame,
        dim: and numbers of each, by the encoder that is said to have made it.

    Raises:
        UserError: it has another type or shape, or rows that no encoder gives: not finite, all zero, constant.
    """
    try:
        rows: NDArray[np.float16] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file} is not a .npy file that can be read ({error}): download it again") from error
    if rows.dtype != np.float16:
        raise UserError(f"{file} holds {rows.dtype}, not float16: convert it only if you know what made it")
    known = [(frames, tokens, dim), *([(frames, dim)] if tokens == 1 else [])]
    if rows.shape not in known:
        raise UserError(
            f"{file} is {list(rows.shape)}, but the dataset has {frames} frames and the encoder's latents "
            f"{f'{tokens} tokens of ' if tokens > 1 else ''}{dim} "
            "numbers: give the dataset and the encoder that it was made from"
        )
    flat = rows.reshape(frames, -1)
    _require_latents(file, flat)
    return flat.reshape(frames, tokens, dim)


def _require_latents(file: Path, rows: NDArray[np.float16]) -> None:
    unwritten: list[int] = []
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[first : first + ROWS_AT_ONCE]
        infinite = ~np.isfinite(part).all(axis=1)
        if infinite.any():
            raise UserError(f"{file}: row {first + int(infinite.argmax())} is not finite: make the file again")
        constant = part.max(axis=1) == part.min(axis=1)
        zero = constant & (part[:, 0] == 0)
        if (constant & ~zero).any():
            row = first + int((constant & ~zero).argmax())
            raise UserError(f"{file}: row {row} holds the same number {part.shape[1]} times: make the file again")
        unwritten += (first + np.flatnonzero(zero)).tolist()
    if unwritten:
        tail = unwritten == list(range(unwritten[0], len(rows)))
        raise UserError(
            f"{file}: {len(unwritten)} rows are all zero, "
            + (f"all from row {unwritten[0]} on: its making was cut short" if tail else f"first row {unwritten[0]}")
            + "; make the file again"
        )
