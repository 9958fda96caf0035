"""Who encodes which stretches of a dataset, where several processes, GPUs or machines work on one cache.

A stretch belongs to whoever holds its lease. One whose owner died is free again, so all that were claimed and nobody
finished are made by those who are left; what each makes is the same, whoever makes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from math import inf
from pathlib import Path

from world_modality.latents.shards import Shards, Stretch
from world_modality.store.leases import Leases

POLL_SECONDS = 0.5  # between looks whether others have finished, or died


class Share:
    """One process's part in the stretches of a dataset."""

    def __init__(self, shards: Shards, stretches: Sequence[Stretch], folder: Path) -> None:
        """Share out ``stretches`` by leases in ``folder``; what ``shards`` hold is looked at, and done."""
        self._shards = shards
        # An owner is at work for as long as its process lives: a stretch may take a slow encoder an hour.
        self._leases = Leases(folder, stall_s=inf)
        self._left = dict.fromkeys(each for each in stretches if not shards.has(each))
        self.done = [each for each in stretches if each not in self._left]
        """What is finished, as far as this process knows."""

    @property
    def left(self) -> int:
        """How many stretches are not finished, as far as this process knows."""
        return len(self._left)

    def work(self, encode: Callable[[Iterable[Stretch]], Generator[Stretch]]) -> Generator[Stretch]:
        """Finish every stretch, with ``encode`` or by others; yields each once it is.

        ``encode`` yields the stretches that it is given, once their shards are saved.
        """
        while self._left:
            idle = True
            with closing(encode(self._claimed())) as encoded:
                for stretch in encoded:
                    idle = False
                    self._leases.release(stretch.name)
                    yield self._finished(stretch)
            others = [each for each in self._left if self._shards.has(each)]
            yield from map(self._finished, others)
            if idle and not others:
                time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Let go of what was claimed."""
        self._leases.close()

    def _claimed(self) -> Iterator[Stretch]:
        """Stretches that nobody else works on and that are missing; each is this process's from then on."""
        for stretch in list(self._left):
            if not self._leases.holds(stretch.name) and self._leases.claim(stretch.name):
                if self._shards.has(stretch):  # another finished it since we looked
                    self._leases.release(stretch.name)
                else:
                    yield stretch

    def _finished(self, stretch: Stretch) -> Stretch:
        del self._left[stretch]
        self.done.append(stretch)
        return stretch
