"""Small notes beside work in the making, of which damage shows: JSON values with the digest of their text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def note_text(values: Mapping[str, Any]) -> str:
    """The text of a note: the values as JSON, and a last line with its sha256."""
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    return f"{text}{hashlib.sha256(text.encode()).hexdigest()}\n"


def read_note(file: Path) -> dict[str, Any] | None:
    """A note's values; None if it is not as ``note_text`` made it. FileNotFoundError if there is none."""
    data = file.read_bytes()
    text, _, digest = data.removesuffix(b"\n").rpartition(b"\n")
    text += b"\n"
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return None
    values: dict[str, Any] = json.loads(text)
    return values
