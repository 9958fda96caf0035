"""Which rows of the latent cache belong to a frame: index arithmetic that never leaves the frame's episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EpisodeBounds:
    """Global frame ranges ``[starts[e], ends[e])`` of a dataset's episodes, in ascending order and without overlap.

    Raises ValueError if the ranges are empty, out of order or overlapping.
    """

    starts: Rows
    ends: Rows

    def __post_init__(self) -> None:
        if self.starts.shape != self.ends.shape or self.starts.ndim != 1 or not self.starts.size:
            raise ValueError(
                f"episode ranges need equally many starts and ends, got {self.starts.shape}, {self.ends.shape}"
            )
        if (self.starts >= self.ends).any() or (self.ends[:-1] > self.starts[1:]).any():
            raise ValueError("episode ranges must be non-empty, ascending and without overlap")

    @classmethod
    def of(cls, starts: npt.ArrayLike, ends: npt.ArrayLike) -> EpisodeBounds:
        """From the columns ``dataset_from_index`` and ``dataset_to_index`` (exclusive) of LeRobot's episode table."""
        return cls(np.asarray(starts, np.int64), np.asarray(ends, np.int64))

    def only(self, episodes: Sequence[int]) -> EpisodeBounds:
        """The ranges of these episodes, ascending."""
        kept = np.unique(np.asarray(episodes, np.int64))
        return EpisodeBounds(self.starts[kept], self.ends[kept])

    def without(self, episodes: Sequence[int]) -> EpisodeBounds:
        """The ranges of all episodes but these."""
        return self.only(np.setdiff1d(np.arange(len(self.starts)), np.asarray(episodes, np.int64)).tolist())

    @property
    def frames(self) -> int:
        """Rows that a cache covering these episodes needs: one past the last frame's index."""
        return int(self.ends[-1])

    def find(self, index: Rows) -> Rows:
        """Which of the ranges holds each of ``index`` [...], counted from 0; -1 for a frame in none."""
        place = np.searchsorted(self.starts, index, side="right") - 1
        return np.where(index < self.ends[place], place, -1)

    def around(self, index: Rows) -> tuple[Rows, Rows]:
        """Start and end (exclusive) of the episodes that hold ``index`` [...]; IndexError for a frame in none."""
        episode = self.find(index)
        outside = episode < 0
        if outside.any():
            raise IndexError(f"frame {int(np.asarray(index)[outside].flat[0])} lies in no episode")
        return self.starts[episode], self.ends[episode]


def past_rows(index: Rows, start: Rows, length: int) -> Rows:
    """The ``length`` frames ending at ``index`` [B], oldest first, the episode's first frame repeated: [B, length].

    >>> past_rows(np.array([6]), np.array([5]), 4)
    array([[5, 5, 5, 6]])
    """
    offsets = np.arange(1 - length, 1)
    return np.maximum(index[:, None] + offsets, start[:, None])


def future_rows(index: Rows, end: Rows, length: int) -> tuple[Rows, Flags]:
    """The ``length`` frames after ``index`` [B] and which of them exist: rows [B, length], valid [B, length].

    A frame past the episode's end is replaced by the episode's last one and marked as not valid.

    >>> future_rows(np.array([6]), np.array([8]), 3)
    (array([[7, 7, 7]]), array([[ True, False, False]]))
    """
    wanted = index[:, None] + np.arange(1, length + 1)
    last = end[:, None] - 1
    return np.minimum(wanted, last), wanted <= last
