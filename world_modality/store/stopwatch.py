"""How long a stage has taken, over all its attempts and all who work on it."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from world_modality.store.files import write_atomically

EVERY_S = 5.0
RAREST = 12  # times as long, in the end: a minute


class Spent(NamedTuple):
    """Time that a stage took, of all who worked on it."""

    seconds: float = 0.0
    gpu_seconds: float = 0.0  # each one's times the GPUs that it held

    def plus(self, seconds: float, gpus: int) -> Spent:
        """With that of one more, who holds so many GPUs."""
        return Spent(self.seconds + seconds, self.gpu_seconds + seconds * gpus)


@contextmanager
def timed(folder: Path, every: float = EVERY_S, gpus: int = 0) -> Iterator[Callable[[], Spent]]:
    """Keep the seconds that the block takes in a file of its own in ``folder``; yields what tells the sum of all files.

    ``gpus`` is how many this process holds meanwhile.

    Written after ``every`` seconds, then less and less often down to a twelfth of that, and at the block's end: an
    attempt that is killed counts up to its last minute, and a thousand of them do not keep a file server busy. A disk
    that is full stops no stage: its time is then known less well. A folder that somebody removed meanwhile, because the
    stage is sealed, stays away.
    """
    own, start = folder / f"{uuid.uuid4().hex}.txt", time.monotonic()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()

    def total() -> Spent:
        return read_spent(folder, but=own).plus(time.monotonic() - start, gpus)

    def keep() -> None:
        with contextlib.suppress(OSError):
            if folder.is_dir():
                write_atomically(own, f"{time.monotonic() - start:.3f} {gpus}\n".encode())

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


def read_spent(folder: Path, but: Path | None = None) -> Spent:
    """Time of everybody's attempts so far, save that in the file ``but``; what is not legible counts nothing."""
    total = Spent()
    for path in folder.glob("*.txt"):
        with contextlib.suppress(OSError, ValueError):
            seconds, *gpus = ("" if path == but else path.read_text()).split() or ("0",)
            total = total.plus(float(seconds), int(gpus[0]) if gpus else 0)
    return total
