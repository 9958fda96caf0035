"""Do an episode's pictures go on as its hand moves, or do they stand still or end in the dark?

Where a hand has moved by a few centimetres, a 32nd of a picture changes by 90 of 255 and more in recorded data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.checks.pictures import DARK, Seen, Start, small
from world_modality.facts.benchmarks import Suite

MOVED = 0.05  # metres
STILL = 8.0  # of 255, in the part of a picture that changes most; video compression changes less


def footage_findings(starts: Sequence[Start], suite: Suite) -> Iterator[Finding]:
    """Cameras whose pictures, of a hand that moved, are later the first one still, or black."""
    for column in dict.fromkeys(column for start in starts for column in start.pictures):
        own = [(start, later) for start in starts if column in start.pictures and (later := _moved(start, suite))]
        frozen = [start.episode for start, later in own if not any(_changed(start, each, column) for each in later)]
        black = [start.episode for start, later in own if any(_blackened(start, each, column) for each in later)]
        if frozen:
            yield Finding(
                "error" if 2 * len(frozen) > len(own) else "warning",
                DATA,
                column,
                f"in {len(frozen)} of {len(own)} episodes looked at, first episode {frozen[0]}, the hand moves and the "
                "pictures half way and at the end are the first one still: record them again",
            )
        if black:
            yield Finding(
                "error",
                DATA,
                column,
                f"in {len(black)} of {len(own)} episodes looked at, first episode {black[0]}, pictures half way or at "
                f"the end are black, with a mean below {DARK:g} of 255: record them again",
            )


def _moved(start: Start, suite: Suite) -> list[Seen]:
    """What was seen later, with the hand somewhere else."""
    driven = [number for number, name in enumerate(suite.state) if name in suite.action.names]
    if len(start.state) != len(suite.state):
        return []
    return [later for later in start.later if np.linalg.norm((later.state - start.state)[driven]) > MOVED]


def _changed(start: Start, later: Seen, column: str) -> bool:
    return bool(np.abs(small(later.pictures[column]) - small(start.pictures[column])).max() > STILL)


def _blackened(start: Start, later: Seen, column: str) -> bool:
    return bool(later.pictures[column].mean() < DARK < start.pictures[column].mean())
