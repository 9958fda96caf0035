"""How a stage stands, told from the few files that say so, of thousands of stages at a time.

Nothing is checked that takes long: a sealed result counts as whole if its files are there with their sizes, as it does
to a stage that reads it. What a file holds `wm verify` looks at.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from world_modality.store.attempts import Attempt, read_attempts
from world_modality.store.failure import read_failure
from world_modality.store.files import read_object
from world_modality.store.layout import StageFolder
from world_modality.store.leases import SILENCE_S
from world_modality.store.lock import is_locked
from world_modality.store.stopwatch import read_spent

State = Literal["done", "running", "waiting", "stopped", "failed", "damaged"]
STATES: tuple[State, ...] = ("done", "running", "waiting", "stopped", "failed", "damaged")
"""Stopped was begun and is not worked on, without a word why; damaged was sealed, and is not whole any more."""
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Look:
    """A stage at one moment."""

    state: State
    record: Mapping[str, Any] = field(default_factory=dict)  # its DONE.json; {} unless it is done
    run: Mapping[str, Any] = field(default_factory=dict)  # its run.json, if it is done and has one
    seconds: float = 0.0  # of work so far, of all attempts and all who worked on it
    gpu_seconds: float = 0.0  # the same, each time times the GPUs that were held; 0 also where that was not noted
    line: str = ""  # the last one of its progress
    reason: str = ""  # why it failed or is damaged
    idle: float = 0.0  # seconds since it last wrote something, of one that is not done
    attempt: Attempt | None = None  # the last one, of one that is not done

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its result says in short."""
        found = self.record.get("facts")
        return found if isinstance(found, Mapping) else NOTHING

    @property
    def size(self) -> int:
        """Bytes of its sealed result."""
        return sum(int(entry["size"]) for entry in self.record["files"].values()) if self.record else 0


def look(folder: StageFolder) -> Look:
    """How a stage stands now; changes nothing."""
    record = _object(folder.done)
    if record is not None:
        lacking = next(_lacking(folder, record), "")
        return Look("damaged", reason=lacking) if lacking else _sealed(folder, record)
    second = _object(folder.seal)
    if second is not None and not any(_lacking(folder, second)):  # the next run puts DONE.json back
        return _sealed(folder, second)
    attempts = read_attempts(folder.attempts)
    if not attempts:
        torn = folder.done.exists()
        return Look("damaged", reason="DONE.json is not a whole record") if torn else Look("waiting")
    return _unsealed(folder, attempts[-1], damaged=second is not None)


def _sealed(folder: StageFolder, record: Mapping[str, Any]) -> Look:
    run = read_object(folder.run)
    held = float(run.get("gpu_seconds", 0.0))
    return Look("done", record, run, seconds=float(run.get("wall_seconds", 0.0)), gpu_seconds=held)


def _unsealed(folder: StageFolder, last: Attempt, *, damaged: bool) -> Look:
    idle = max(0.0, time.time() - max(_modified(folder)))
    elsewhere = any(host != platform.node() for host, _ in workers(folder))
    running = is_locked(folder.lock) or elsewhere or (not last.is_here and idle < SILENCE_S)
    failure = read_failure(folder)
    state: State = "running" if running else "damaged" if damaged else "failed" if failure else "stopped"
    reason = "a part of its sealed result is gone" if state == "damaged" else ""
    spent = read_spent(folder.seconds)
    return Look(
        state,
        seconds=spent.seconds,
        gpu_seconds=spent.gpu_seconds,
        line=_text(folder.progress),
        reason=failure.reason if failure and state == "failed" else reason,
        idle=idle,
        attempt=last,
    )


def workers(folder: StageFolder) -> list[tuple[str, int]]:
    """Who has said within ``SILENCE_S`` seconds that they work on a stage which several may share: host and process."""
    found = []
    for path in sorted(folder.workers.glob("*.lease")):
        with contextlib.suppress(OSError, KeyError, ValueError):
            if time.time() - path.stat().st_mtime < SILENCE_S:
                note = read_object(path)
                found.append((str(note["host"]), int(note["pid"])))
    return found


def bytes_below(folder: Path) -> int:
    """Size of all files below a folder, each once however many names it has; what vanishes meanwhile counts nothing."""
    seen, total = set[tuple[int, int]](), 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = Path(parent, name).lstat()
                if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
    return total


def _lacking(folder: StageFolder, record: Mapping[str, Any]) -> Iterator[str]:
    """What a sealed artifact has no more, or not as it was."""
    for name, entry in record["files"].items():
        try:
            size = (folder.artifact / name).stat().st_size
        except OSError:
            yield f"artifact/{name} is missing"
        else:
            if size != entry["size"]:
                yield f"artifact/{name} has {size} bytes instead of {entry['size']}"


def _object(path: Path) -> Mapping[str, Any] | None:
    """A record of a sealed stage, by what a look needs of it; None if it is missing or torn."""
    try:
        value = json.loads(path.read_bytes())
        return value if isinstance(value["files"], dict) and isinstance(value["facts"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _modified(folder: StageFolder) -> Iterator[float]:
    """When the stage's files that tell of life were changed; 0 for what is not there."""
    yield 0.0
    for path in (folder.progress, folder.seconds, folder.log, folder.attempts, *folder.seconds.glob("*.txt")):
        with contextlib.suppress(OSError):
            yield path.stat().st_mtime


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
