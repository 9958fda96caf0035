"""Is there room in a results tree? It may be full, read-only, or gone with the disk that it lay on."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from world_modality.store.layout import snapshots_folder

PROBE_BYTES = 1 << 16
LITTLE = 1 << 20
"""Bytes: where less is free after a failure, that is what it failed of."""
FULL = (errno.ENOSPC, errno.EDQUOT)
GONE = (errno.ESTALE, errno.ENOTCONN, errno.EIO, errno.ENODEV, errno.ENXIO)
NO_SPACE = "No space left on device"
"""What libraries that write for themselves say; their errors have no number."""

AGAIN = "and run the same command again: what is sealed stays, and the rest goes on where it was"


def trouble(root: Path, error: BaseException | None = None) -> str | None:
    """What is wrong with a results tree, in a sentence; None if nothing is.

    It is tried out by writing a little file.

    Args:
        root: the tree.
        error: what went wrong in it, if anything did. Of an error that is not about the tree itself, None is said.
    """
    found = [each.errno for each in _chain(error) if isinstance(each, OSError)]
    full = any(number in FULL for number in found) or any(NO_SPACE in str(each) for each in _chain(error))
    if not root.is_dir() or (error is not None and not snapshots_folder(root).is_dir()):  # every run begins with one
        return _gone(root)
    if full:
        return _full(root)
    try:
        try_writing(root)
    except OSError as failure:
        return _told(root, failure)
    free = free_bytes(root)
    if error is not None and free is not None and free < LITTLE:
        return _full(root)
    return None


def storage_sentence(error: OSError) -> str | None:
    """What to say of an error of a file that could not be written; None of any other error."""
    where = error.filename or "the disk"
    if error.errno in FULL:
        return f"{where} cannot be written, since its disk is full: free some room, {AGAIN}"
    if error.errno == errno.EROFS:
        return f"{where} lies on a disk that is read-only: mount it for writing, {AGAIN}"
    if error.errno in GONE and error.filename:
        return f"{where} cannot be reached ({error.strerror}): look whether its disk is still mounted, {AGAIN}"
    return None


def file_sentence(error: OSError, root: Path | None = None) -> str:
    """What to say of an error of a file that was copied from or to a results tree, whichever error it is."""
    told = trouble(root) if root is not None and root.is_dir() else None
    where = error.filename or root or "a file"
    return (
        told
        or storage_sentence(error)
        or f"{where} cannot be read or written ({error.strerror or error}): mend that, {AGAIN}"
    )


def free_bytes(root: Path) -> int | None:
    """How much is free where the tree lies; None if nobody can tell."""
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return None


def readable_size(size: float) -> str:
    """Bytes for people: ``1.2 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def try_writing(folder: Path) -> None:
    """Write a little file and remove it; OSError if that fails."""
    probe = folder / f".room.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        with probe.open("wb") as file:
            file.write(b"\0" * PROBE_BYTES)
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


def _told(root: Path, error: OSError) -> str:
    if error.errno in FULL:
        return _full(root)
    if error.errno == errno.EROFS:
        return f"the results folder {root} is read-only: mount it for writing, or name another with --results, {AGAIN}"
    if error.errno in (errno.ENOENT, *GONE):
        return _gone(root)
    return (
        f"the results folder {root} cannot be written ({error.strerror}): let this user write there, or name another "
        f"with --results, {AGAIN}"
    )


def _full(root: Path) -> str:
    free = free_bytes(root)
    left = "" if free is None else f" ({readable_size(free)} left)"
    return f"the disk of the results folder {root} is full{left}: free some room, {AGAIN}"


def _gone(root: Path) -> str:
    return f"the results folder {root} is gone: mount its disk again, {AGAIN}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
