"""What a process that dies leaves to the next: tensors and numbers in a folder that is whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from world_modality.store.digests import is_intact, note_digests
from world_modality.store.files import sync_tree

STATE = "state.pt"


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write numbers, tensors and mappings of them; ``folder`` must not be there yet."""
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    torch.save(dict(state), draft / STATE)
    note_digests(draft)
    sync_tree(draft)
    draft.rename(folder)


def read(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """What was saved; None if nothing was or it is damaged, which is removed then."""
    if not folder.is_dir():
        return None
    if not is_intact(folder):
        shutil.rmtree(folder)
        return None
    state: dict[str, Any] = torch.load(folder / STATE, map_location=device, weights_only=True)
    return state
