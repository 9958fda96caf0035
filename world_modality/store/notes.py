"""Small notes beside work in the making, of which damage shows: JSON values and a digest of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DIGEST = "sha256"


def note_text(values: Mapping[str, Any]) -> str:
    """The text of a note: the values as JSON, and beside them a digest of them all."""
    return json.dumps({**values, DIGEST: _digest(values)}, indent=1, ensure_ascii=False) + "\n"


def read_note(file: Path) -> dict[str, Any] | None:
    """A note's values; None if they are not as ``note_text`` was given them. FileNotFoundError if there is none."""
    try:
        values: dict[str, Any] = json.loads(file.read_bytes())
        return values if values.pop(DIGEST) == _digest(values) else None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
