"""Sealed plans of several trees: every one is kept, since the report asks for the earliest."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from world_modality.store.files import write_atomically
from world_modality.store.keys import digest_of
from world_modality.trees.names import PLANS, is_plan
from world_modality.trees.remote import Remote


def push_plans(remote: Remote, root: Path) -> int:
    """Copy the sealed plans that the remote lacks; how many."""
    there = remote.files(f"{PLANS}/")
    new = {name: path for name, path in own_plans(root).items() if name not in there}
    for name, path in new.items():
        remote.write(name, path.read_bytes())
    return len(new)


def pull_plans(remote: Remote, root: Path) -> int:
    """Copy the sealed plans that are not here; how many. What is no plan, or bears a name that no plan has, stays."""
    return take_plans(root, remote.files(f"{PLANS}/"), remote.read)


def take_plans(root: Path, names: Collection[str], read: Callable[[str], bytes | None]) -> int:
    """Write down those plans that are not here, or are damaged here and whole there, from what ``read`` says that each
    is; how many."""
    taken = 0
    for name in sorted(filter(is_plan, names)):
        target = root / name
        there = target.exists()
        if there and _is_whole(target.read_bytes()):
            continue
        data = read(name)
        if data is not None and (_is_whole(data) if there else _is_object(data)):
            write_atomically(target, data)
            taken += 1
    return taken


def own_plans(root: Path) -> dict[str, Path]:
    """The sealed plans of a tree by their names."""
    found = {path.relative_to(root).as_posix(): path for path in (root / PLANS).glob("*/*.json")}
    return {name: path for name, path in found.items() if is_plan(name) and path.is_file()}


def _is_whole(data: bytes) -> bool:
    try:
        value = json.loads(data)
        return bool(digest_of(value["plan"]) == value["digest"])
    except (ValueError, KeyError, TypeError):
        return False


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False
