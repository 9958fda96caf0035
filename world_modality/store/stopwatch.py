"""How long a stage has taken, over all its attempts and all who work on it."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from world_modality.store.files import write_atomically

EVERY_S = 5.0
RAREST = 12  # times as long, in the end: a minute


@contextmanager
def timed(folder: Path, every: float = EVERY_S) -> Iterator[Callable[[], float]]:
    """Keep the seconds that the block takes in a file of its own in ``folder``; yields what tells the sum of all files.

    Written after ``every`` seconds, then less and less often down to a twelfth of that, and at the block's end: an
    attempt that is killed counts up to its last minute, and a thousand of them do not keep a file server busy. A disk
    that is full stops no stage: its time is then known less well. A folder that somebody removed meanwhile, because the
    stage is sealed, stays away.
    """
    own, start = folder / f"{uuid.uuid4().hex}.txt", time.monotonic()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()

    def total() -> float:
        return read_seconds(folder, but=own) + time.monotonic() - start

    def keep() -> None:
        with contextlib.suppress(OSError):
            if folder.is_dir():
                write_atomically(own, f"{time.monotonic() - start:.3f}\n".encode())

    def keep_often() -> None:
        wait = every
        while not ended.wait(wait):
            keep()
            wait = min(2 * wait, RAREST * every)

    thread = threading.Thread(target=keep_often, daemon=True)
    thread.start()
    try:
        yield total
    finally:
        ended.set()
        thread.join()
        keep()


def read_seconds(folder: Path, but: Path | None = None) -> float:
    """Seconds of everybody's attempts so far, save those in the file ``but``; what is not legible counts nothing."""
    return sum(_read(path) for path in folder.glob("*.txt") if path != but)


def _read(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0
