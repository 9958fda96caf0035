"""What is sealed in a results tree. The DONE.json files are the index; nothing is kept beside them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from world_modality.store.done import DoneFile, read_done
from world_modality.store.layout import StageFolder
from world_modality.store.lock import is_locked
from world_modality.store.seal import is_whole


def sealed_stages(root: Path, stages: Iterable[str]) -> Iterator[tuple[StageFolder, DoneFile]]:
    """Every sealed stage of these kinds, in a stable order."""
    for stage in stages:
        for path in sorted((root / stage).glob("*")):
            record = sealed_done(StageFolder(path))
            if record is not None:
                yield StageFolder(path), record


def sealed_done(folder: StageFolder) -> DoneFile | None:
    """A stage's record, from DONE.json or its second copy; None if it is not sealed.

    The second copy speaks only for a result that is whole: the next run forgets any other and makes it anew. DONE.json
    is believed: planning asks for thousands of stages, and a look at each file of all would take a file server as long
    again. Whoever reads a stage looks whether it is whole (``store.execute``), as do `wm status` and `wm verify`.
    """
    record = read_done(folder.done)
    if record is not None:
        return record
    second = read_done(folder.seal)
    return second if second is not None and is_whole(folder, second) else None


@dataclass(frozen=True)
class Unfinished:
    """A stage that was started and is not sealed."""

    last_line: str  # of its progress; "" if it reported none
    seconds_ago: float  # since it last wrote something
    running: bool
    damaged: bool  # it was sealed, and lost DONE.json and a part of its result


def unfinished(folder: StageFolder) -> Unfinished | None:
    """How far an unsealed stage got, or None if it never started."""
    if not folder.attempts.exists():
        return None
    latest = max(_modified(path) for path in (folder.progress, folder.seconds, folder.log, folder.attempts))
    try:
        line = folder.progress.read_text().strip()
    except FileNotFoundError:
        line = ""
    return Unfinished(line, max(0.0, time.time() - latest), is_locked(folder.lock), folder.seal.exists())


def _modified(path: Path) -> float:
    """Time of the last change; 0 for a file that is not there, or was removed by a stage that just ended."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
