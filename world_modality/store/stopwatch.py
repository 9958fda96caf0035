"""How long a stage has taken, over all its attempts."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from world_modality.store.files import write_atomically

EVERY_S = 5.0


@contextmanager
def timed(path: Path, every: float = EVERY_S) -> Iterator[Callable[[], float]]:
    """Add the seconds that the block takes to those in ``path``; yields what tells the sum so far.

    Written every ``every`` seconds and at the block's end, so that an attempt that is killed counts up to its last
    few seconds. A disk that is full stops no stage: its time is then known less well.
    """
    earlier, start = read_seconds(path), time.monotonic()
    ended = threading.Event()

    def total() -> float:
        return earlier + time.monotonic() - start

    def keep() -> None:
        with contextlib.suppress(OSError):
            write_atomically(path, f"{total():.3f}\n".encode())

    def keep_often() -> None:
        while not ended.wait(every):
            keep()

    thread = threading.Thread(target=keep_often, daemon=True)
    thread.start()
    try:
        yield total
    finally:
        ended.set()
        thread.join()
        keep()


def read_seconds(path: Path) -> float:
    """Seconds of the attempts so far; 0 if nothing legible is there."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0
