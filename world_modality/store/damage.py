"""What was found damaged when all sealed contents were read, for whoever does not read them again, as `wm status`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from world_modality.store.files import read_object, write_json
from world_modality.store.layout import StageFolder, damage_found_file

SEALED_AT = "sealed_at"


def note_damage(root: Path, looked_at: Iterable[StageFolder], found: Mapping[Path, str]) -> None:
    """Keep what is wrong with stages' folders, in place of what an earlier look at the same stages found.

    A tree that cannot be written goes without.
    """
    file, looked = damage_found_file(root), {_name(folder.path) for folder in looked_at}
    notes = {name: each for name, each in read_object(file).items() if name not in looked and (root / name).is_dir()}
    for path, text in found.items():
        notes[_name(path)] = {"damage": text, SEALED_AT: read_object(StageFolder(path).run).get(SEALED_AT)}
    with suppress(OSError):
        if notes:
            write_json(file, notes, sort_keys=True)
        else:
            file.unlink(missing_ok=True)


class DamageFound:
    """What ``note_damage`` kept of a results tree, as it is now."""

    def __init__(self, root: Path) -> None:
        self._notes = read_object(damage_found_file(root))

    def of(self, stage: str, key: str, run: Mapping[str, Any]) -> str:
        """What was found of a stage; "" for nothing. Its ``run.json`` tells whether it was made again since."""
        note = self._notes.get(f"{stage}/{key}")
        if not isinstance(note, dict) or note.get(SEALED_AT) != run.get(SEALED_AT):
            return ""
        return str(note.get("damage", ""))


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"
