"""Work in the making that says what it is, so that what a disk damaged is not gone on from: folders and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from world_modality.store.files import file_digest, files_below, write_atomically, write_json

DIGESTS = "digests.json"
"""In the folder: each file's SHA-256."""


def note_digests(folder: Path) -> None:
    """Leave word in a folder of what its files are, for ``is_intact``."""
    write_json(folder / DIGESTS, {name: file_digest(path) for name, path in files_below(folder)})


def is_intact(folder: Path) -> bool:
    """Whether a folder's files are as they were saved; one without digests, taken from a sealed result, is."""
    try:
        digests = json.loads((folder / DIGESTS).read_text())
        return all(file_digest(folder / name) == digest for name, digest in digests.items())
    except FileNotFoundError:
        return not (folder / DIGESTS).exists()
    except (ValueError, AttributeError):
        return False


def write_digested(path: Path, data: bytes) -> None:
    """Write ``data`` behind a line with its digest, for ``read_digested``: complete, or as the file was before."""
    write_atomically(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)


def read_digested(path: Path) -> bytes | None:
    """What was written; None if there is nothing, or not what was written."""
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest().encode() == digest else None
