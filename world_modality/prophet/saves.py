"""What a process that dies leaves to the next: tensors and numbers in a file that is whole or counts for nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from world_modality.store.digests import read_digested, write_digested


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write numbers, tensors and mappings of them."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_digested(path, buffer.getvalue())


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """What was saved; None if nothing was or it is damaged."""
    data = read_digested(path)
    if data is None:
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    return state
