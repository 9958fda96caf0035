"""Who encodes which stretches of a dataset, where several processes, GPUs or machines work on one cache.

A stretch belongs to whoever holds its lease. One whose owner died is free again, so all that were claimed and nobody
finished are made by those who are left; what each makes is the same, whoever makes it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from world_modality.latents.shards import Shards, Stretch
from world_modality.store.leases import Leases

POLL_SECONDS = 0.5  # between looks whether others have finished, or died
TOLD_SECONDS = 60.0  # of waiting, until it is said for whom, again and again
STALL_SECONDS = 6 * 3600.0  # without a finished stretch: a slow encoder on a CPU may take hours for one


class Share:
    """One process's part in the stretches of a dataset."""

    def __init__(self, shards: Shards, stretches: Sequence[Stretch], folder: Path) -> None:
        """Share out ``stretches`` by leases in ``folder``; what ``shards`` hold is looked at, and done."""
        self._shards = shards
        self._leases = Leases(folder, stall_s=STALL_SECONDS)
        self._left = dict.fromkeys(each for each in stretches if shards.load(each) is None)
        self.done = [each for each in stretches if each not in self._left]
        """What is finished, as far as this process knows."""

    @property
    def left(self) -> int:
        """How many stretches are not finished, as far as this process knows."""
        return len(self._left)

    def work(
        self, encode: Callable[[Iterable[Stretch]], Generator[Stretch]], say: Callable[[str], None] = lambda _: None
    ) -> Generator[Stretch]:
        """Finish every stretch, with ``encode`` or by others; yields each once it is.

        Args:
            encode: yields the stretches that it is given, once their shards are saved.
            say: told now and then who is waited for, when nothing is left but what others work on.
        """
        quiet_since = time.monotonic()
        while self._left:
            idle = True
            with closing(encode(self._claimed())) as encoded:
                for stretch in encoded:
                    idle = False
                    self._leases.renew()  # what is saved is a sign of life
                    self._leases.leave(stretch.name)  # others may not see the shard yet
                    yield self._finished(stretch)
            others = [each for each in self._left if self._shards.has(each)]
            yield from map(self._finished, others)
            if not idle or others:
                quiet_since = time.monotonic()
                continue
            if time.monotonic() - quiet_since >= TOLD_SECONDS:
                quiet_since = time.monotonic()
                say(self._waiting())
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Let go of what was claimed."""
        self._leases.close()

    def _waiting(self) -> str:
        """Whom the stretches that are left are waited for from."""
        holders = Counter(self._leases.holder(each.name) or "nobody yet" for each in self._left)
        return "waits for " + ", ".join(f"{count} stretches of {holder}" for holder, count in sorted(holders.items()))

    def _claimed(self) -> Iterator[Stretch]:
        """Stretches that nobody else works on and that are missing; each is this process's from then on."""
        for stretch in list(self._left):
            if not self._leases.holds(stretch.name) and self._leases.claim(stretch.name):
                if self._shards.has(stretch):  # another finished it since we looked
                    self._leases.leave(stretch.name)
                else:
                    yield stretch

    def _finished(self, stretch: Stretch) -> Stretch:
        del self._left[stretch]
        self.done.append(stretch)
        return stretch
