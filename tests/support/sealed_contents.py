"""What two results trees hold, to be compared byte by byte."""

from __future__ import annotations

from pathlib import Path

from world_modality.facts.stages import STAGES
from world_modality.store.files import files_below
from world_modality.store.layout import StageFolder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of every sealed result below ``folder``/results, and its record."""
    found: dict[str, bytes] = {}
    for done in (folder / "results").glob("*/*/DONE.json"):
        if done.parts[-3] not in STAGES.names:
            continue  # what was set aside as damaged
        where = done.parent.relative_to(folder / "results").as_posix()
        found[f"{where}/DONE.json"] = done.read_bytes()
        files = files_below(StageFolder(done.parent).artifact)
        found |= {f"{where}/{name}": path.read_bytes() for name, path in files}
    return found


def different(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names of files that only one has, or that differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
