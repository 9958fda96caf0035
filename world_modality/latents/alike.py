"""That a cache is computed alike throughout: what its work was begun on goes on with it, and nothing else.

Devices, and processors of other instructions, sum up in another order. A cache of two kinds of rows would have no one
encoder that a rollout could imitate.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from world_modality.checks.tensors import few
from world_modality.errors import UserError
from world_modality.latents.shards import SHARDS
from world_modality.store.arithmetic import SETTINGS, capability
from world_modality.store.files import write_atomically
from world_modality.store.lock import exclusive
from world_modality.store.notes import note_text, read_note

BEGUN = "computed_on.json"
"""In the work of a cache: what the first who worked on it computed on."""


def computed_on(device: str) -> dict[str, Any]:
    """What decides how ``device`` rounds, as JSON values: a GPU's name, or the instructions of a processor.

    Under portable arithmetic all processors are alike.
    """
    if device != "cpu":
        return {"device": torch.cuda.get_device_name(device)}
    found = capability()
    portable = all(found.get(name) == value for name, value in SETTINGS.items())
    return {"device": "cpu", "kernels": found["torch"], "instructions": [] if portable else found.get("numpy", [])}


def require_alike(work: Path, device: str) -> None:
    """Note in ``work`` what it is begun on, or UserError if that rounds otherwise than ``device`` does.

    Where the note is damaged nobody can tell any more, and what is there is made anew.
    """
    file, mine = work / BEGUN, computed_on(device)
    with exclusive(work / f"{BEGUN}.lock", lambda: None):
        begun = read_note(file) if file.is_file() else None
        if begun is None:
            if file.is_file():
                shutil.rmtree(work / SHARDS, ignore_errors=True)
            write_atomically(file, note_text(mine).encode())
            return
    if begun != mine:
        raise UserError(
            f"the latents in {work} were begun on {begun['device']}, and {_difference(begun, mine)}, which rounds "
            "otherwise: go on where they were begun, or remove that folder, and all of them are made anew"
        )


def _difference(begun: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    if begun["device"] != mine["device"]:
        return f"here it is {mine['device']}"
    if begun["kernels"] != mine["kernels"]:
        return f"this processor computes with {mine['kernels']} instead of {begun['kernels']}"
    others = sorted(set(begun["instructions"]) ^ set(mine["instructions"]))
    return f"this processor differs in {few(others)}"
