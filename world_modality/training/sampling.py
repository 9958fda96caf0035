"""The order of the frames: one stream, cut into full batches, whatever the number of processes that share a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def endless(sampler: type[Any]) -> type[Any]:
    """LeRobot's sampler, going on with the next epoch's permutation where one ends.

    LeRobot ends an epoch with the batch that is left over: smaller in a single process, filled up with the epoch's
    first frames in several. Without an end, every batch is full, and the frames of a step are the same however
    many processes share them.
    """

    class EndlessSampler(sampler):  # type: ignore[misc]
        def __iter__(self) -> Iterator[int]:
            while True:
                yield from super().__iter__()

        def set_epoch(self, epoch: int) -> None:
            """Accelerate says 0 at the start of every process, also of one that resumes in a later epoch."""

    return EndlessSampler


def sampler_state(step: int, num_frames: int, batch_size: int, num_processes: int) -> dict[str, int]:
    """Where an endless sampler of ``num_frames`` stands after ``step`` steps, in LeRobot's terms."""
    epoch, start = divmod(step * batch_size * num_processes, num_frames)
    return {"epoch": epoch, "start_index": start}
