"""A file of latents that someone else made: one row per frame of a dataset, to be doubted before it is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError

ROWS_AT_ONCE = 16384  # bounds memory


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
