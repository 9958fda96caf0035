"""Which frames make up the clip that a latent is computed from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def clip_rows(ends: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """Rows of the clips that end at ``ends`` within one episode whose first frame is row 0.

    A clip never looks ahead of its end, and repeats the first frame where it would start before the episode.

    Args:
        ends: last frame of each clip, int64 [N], each >= 0.
        frames: m, the clip's length.

    Returns:
        int64 [N, m], oldest first.

    >>> clip_rows(np.array([0, 1, 5]), 3).tolist()
    [[0, 0, 0], [0, 0, 1], [3, 4, 5]]
    """
    return np.maximum(ends[:, None] + np.arange(1 - frames, 1), 0)


def history_ends(newest: int, context: int) -> NDArray[np.int64]:
    """Ends of the ``context`` clips of a history that ends at frame ``newest``, oldest first, int64 [T].

    Before the episode's start the first clip is repeated.

    >>> history_ends(1, 4).tolist()
    [0, 0, 0, 1]
    """
    ends: NDArray[np.int64] = np.maximum(np.arange(newest - context + 1, newest + 1), 0)
    return ends
