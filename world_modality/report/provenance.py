"""Where a table's numbers come from: every sealed stage behind it, what it cost and with which software."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.store.index import sealed_record
from world_modality.store.keys import KEY_LENGTH
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.record import Record


def lineage(artifacts: Iterable[Path]) -> tuple[Record, ...]:
    """The sealed records of these artifacts and of all they were made from, each once, by stage and label.

    An artifact is ``results/<stage>/<key>/artifact``. UserError names a stage whose record is missing.
    """
    waiting = [StageFolder(artifact.parent) for artifact in artifacts]
    found: dict[Path, Record] = {}
    while waiting:
        folder = waiting.pop()
        if folder.path in found:
            continue
        record = sealed_record(folder)
        if record is None:
            raise UserError(f"{folder.done} is missing or damaged; run the study again, which makes what is missing.")
        found[folder.path] = record
        root = folder.path.parents[1]
        waiting += [stage_folder(root, source.stage, source.key) for source in record.upstream]
    return tuple(sorted(found.values(), key=lambda record: (record.stage, record.label, record.key)))


def describe(records: Sequence[Record]) -> dict[str, Any]:
    """Cost per kind of stage, software versions, and every stage with its key, version and digests, as
    JSON-serialisable data."""
    seconds: dict[str, list[float]] = {}
    software: dict[str, set[str]] = {}
    for record in records:
        seconds.setdefault(record.stage, []).append(record.wall_seconds)
        for package, version in {**record.versions, "python": str(record.machine.get("python", "unknown"))}.items():
            software.setdefault(package, set()).add(version)
    return {
        "wall_time": [
            {"stage": stage, "runs": len(spent), "seconds": round(sum(spent), 1)} for stage, spent in seconds.items()
        ],
        "versions": {package: ", ".join(sorted(versions)) for package, versions in sorted(software.items())},
        "stages": [
            {
                "stage": record.stage,
                "label": record.label,
                "key": record.key,
                "version": record.version,
                "seconds": record.wall_seconds,
                "sealed_at": record.sealed_at,
                "source_digest": record.source_digest,
                "artifact_digest": artifact_digest(record),
            }
            for record in records
        ],
    }


def artifact_digest(record: Record) -> str:
    """16 hex digits over all files that were sealed, as ``store.files.folder_digest`` gives of them; "" for none."""
    if not record.files:
        return ""
    lines = (f"{name}\0{entry.sha256}\n" for name, entry in sorted(record.files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:KEY_LENGTH]
