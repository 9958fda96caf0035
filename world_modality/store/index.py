"""What is sealed in a results tree. The DONE.json files are the index; nothing is kept beside them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from world_modality.store.layout import StageFolder
from world_modality.store.lock import is_locked
from world_modality.store.record import Record, read_record


def sealed_stages(root: Path, stages: Iterable[str]) -> Iterator[tuple[StageFolder, Record]]:
    """Every sealed stage of these kinds, in a stable order."""
    for stage in stages:
        for path in sorted((root / stage).glob("*")):
            record = sealed_record(StageFolder(path))
            if record is not None:
                yield StageFolder(path), record


def sealed_record(folder: StageFolder) -> Record | None:
    """A stage's record, from DONE.json or its second copy; None if it is not sealed."""
    return read_record(folder.done) or read_record(folder.seal)


@dataclass(frozen=True)
class Unfinished:
    """A stage that was started and is not sealed."""

    last_line: str  # of its progress; "" if it reported none
    seconds_ago: float  # since it last wrote something
    running: bool


def unfinished(folder: StageFolder) -> Unfinished | None:
    """How far an unsealed stage got, or None if it never started."""
    if not folder.attempts.exists():
        return None
    signs = [path for path in (folder.progress, folder.log, folder.attempts) if path.exists()]
    latest = max(path.stat().st_mtime for path in signs)
    line = folder.progress.read_text().strip() if folder.progress.exists() else ""
    return Unfinished(line, max(0.0, time.time() - latest), is_locked(folder.lock))
