"""Word left in a folder of work in the making of what its files are, so that a damaged one is not gone on from."""

from __future__ import annotations

import json
from pathlib import Path

from world_modality.store.files import file_digest, files_below, write_json

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
