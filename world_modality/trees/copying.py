"""Copying a file so that an interrupted copy goes on where it was and no half of one bears the file's name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from world_modality.trees.remote import Told

BLOCK = 1 << 20
PART = ".part"

Telling = Callable[[], AbstractContextManager[None]]
"""Around what is done to one side of a copy, to tell its errors from those of the other side."""


def part_of(target: Path) -> Path:
    """Where a file lies until it is whole."""
    return target.with_name(f".{target.name}{PART}")


def is_there(target: Path, size: int) -> bool:
    """Whether a copy of that size is there already. Its digest is looked at when all of a stage is."""
    return not target.is_symlink() and target.is_file() and target.stat().st_size == size


def go_on_copying(
    source: Path,
    target: Path,
    size: int,
    told: Told,
    *,
    reading: Telling = nullcontext,
    writing: Telling = nullcontext,
) -> None:
    """Make ``target`` hold the first ``size`` bytes of ``source``, beginning with what an earlier call left.

    ``reading`` is around all that is done to the source, ``writing`` around all that is done to the target.
    """
    with writing():
        part = None if is_there(target, size) else begin_part(target, size)
    if part is None:
        told(size)
        return
    with reading():
        reader = source.open("rb")
    with reader:
        with writing():
            writer = part.open("ab", buffering=0)  # so that each write fails where it is done
        with writer:
            done = writer.tell()
            told(done)
            while done < size:
                with reading():
                    reader.seek(done)
                    block = reader.read(min(BLOCK, size - done))
                if not block:
                    break
                with writing():
                    copied = writer.write(block)
                done += copied
                told(copied)
            with writing():
                finish(writer)
    with writing():
        part.replace(target)


def begin_part(target: Path, size: int) -> Path:
    """The draft of a file of ``size`` bytes, in its folder, with what an earlier call left of it and can be gone on
    from."""
    part = part_of(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if part.is_symlink() or (part.exists() and part.stat().st_size > size):
        part.unlink()
    return part


def finish(writer: BinaryIO) -> None:
    """Bring what was written to the disk."""
    writer.flush()
    os.fsync(writer.fileno())


def copy_and_digest(source: Path, target: Path, size: int) -> str:
    """Copy the first ``size`` bytes of a file that may be growing; sha256 of what was copied."""
    total, left = hashlib.sha256(), size
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(min(BLOCK, left)):
            writer.write(block)
            total.update(block)
            left -= len(block)
    return total.hexdigest()
