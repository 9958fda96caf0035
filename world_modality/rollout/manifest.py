"""What all records of a folder are made with, noted by whoever begins and asked of whoever joins or goes on."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def disagreement(note: Path, wanted: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Note what records are made with, or compare it with the note that is there.

    None if they agree; else the first name that does not, what the note says of it, and what is wanted. Of several
    owners that begin at once one writes the note and the others compare, whatever machine they are on.
    """
    draft = note.with_name(f".{note.name}.{uuid.uuid4().hex}.draft")
    draft.write_text(json.dumps(wanted, indent=1, ensure_ascii=False) + "\n")
    try:
        os.link(draft, note)
    except FileExistsError:
        found = json.loads(note.read_text())
        told = json.loads(draft.read_text())
        return next(((name, found.get(name), told[name]) for name in told if found.get(name) != told[name]), None)
    finally:
        draft.unlink()
    return None
