"""What tells one results tree from another, also from its own copies, whichever machine looks at it."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from world_modality.store.keys import KEY_LENGTH
from world_modality.store.layout import tree_file
from world_modality.store.lock import exclusive
from world_modality.trees.names import is_key


def tree_name(root: Path) -> str:
    """16 hex digits that the results tree ``root`` bears from the first call on.

    They are in a file that says which file it is, by its number in the file system: a copy of the tree has another, and
    so gets a name of its own. Machines that share the tree see the same.
    """
    file = tree_file(root)
    known = _read(file)
    if known:
        return known
    with exclusive(file.with_name(f".{file.name}.lock"), lambda: None):
        known = _read(file)
        if known:
            return known
        name = secrets.token_hex(KEY_LENGTH // 2)
        draft = file.with_name(f".{file.name}.{name}")
        with draft.open("w") as writer:
            writer.write(json.dumps({"tree": name, "file": os.fstat(writer.fileno()).st_ino}) + "\n")
            writer.flush()
            os.fsync(writer.fileno())
        draft.replace(file)
    return name


def _read(file: Path) -> str:
    try:
        value = json.loads(file.read_text())
        name, number = value["tree"], value["file"]
        return name if number == file.stat().st_ino and is_key(name) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
