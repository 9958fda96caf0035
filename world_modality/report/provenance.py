"""Where a table's numbers come from: every sealed stage behind it, and with which software it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.store.done import DoneFile
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder, stage_folder


def lineage(artifacts: Iterable[Path]) -> tuple[DoneFile, ...]:
    """The sealed records of these artifacts and of all they were made from, each once, by stage and key.

    An artifact is ``results/<stage>/<key>/artifact``. UserError names a stage whose record is missing.
    """
    waiting = [StageFolder(artifact.parent) for artifact in artifacts]
    found: dict[Path, DoneFile] = {}
    while waiting:
        folder = waiting.pop()
        if folder.path in found:
            continue
        record = sealed_done(folder)
        if record is None:
            raise UserError(f"{folder.done} is missing or damaged; run the study again, which makes what is missing.")
        found[folder.path] = record
        root = folder.path.parents[1]
        waiting += [stage_folder(root, source.stage, source.key) for source in record.upstream]
    return tuple(sorted(found.values(), key=lambda record: (record.stage, record.key)))


def describe(records: Sequence[DoneFile], labels: Mapping[str, str]) -> dict[str, Any]:
    """Software versions, and every stage with its key, version and digests, as JSON-serialisable data.

    ``labels`` are the study's own, by key: another study that made the stage first may have named it otherwise.
    """
    software: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.versions.items():
            software.setdefault(package, set()).add(version)
    return {
        "versions": {package: ", ".join(sorted(versions)) for package, versions in sorted(software.items())},
        "stages": [
            {
                "stage": record.stage,
                "label": labels.get(record.key, ""),
                "key": record.key,
                "version": record.version,
                "source_digest": record.source_digest,
                "artifact_digest": record.content_digest,
            }
            for record in records
        ],
    }
