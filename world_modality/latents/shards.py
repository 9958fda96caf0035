"""What of a cache is made in one go, and how it is kept until the cache is assembled: sealed, so it can be trusted.

A dataset is cut into stretches, an episode each, or several where an episode is long: so long ones are shared out too,
and no process holds more than a stretch of them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from world_modality.data.episodes import EpisodeTable
from world_modality.encoders.encoder import clip_rows
from world_modality.store.files import write_atomically

STRETCH = 512  # frames at most: 100 MB of pictures of 256 x 256
SEAL_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, order=True)
class Stretch:
    """Frames [first, end) of an episode; ``start`` is the global index of the episode's first frame."""

    start: int
    episode: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def name(self) -> str:
        """Of the frames' global indices, so it says what is in a file of that name whatever else changes."""
        return f"frames_{self.start + self.first:09d}_{self.start + self.end:09d}"

    def seen_from(self, clip: int) -> int:
        """The first frame of the episode that a clip of ``clip`` frames sees which ends within the stretch."""
        return max(0, self.first - (clip - 1))

    def clip_rows(self, clip: int) -> NDArray[np.int64]:
        """Each clip's frames, int64 [n, clip], counted from ``seen_from``: never ahead, nor of another episode."""
        return clip_rows(np.arange(self.first, self.end), clip) - self.seen_from(clip)


def cut(table: EpisodeTable, longest: int = STRETCH) -> Iterator[Stretch]:
    """The stretches of a dataset in the order of its frames, each of at most ``longest`` frames."""
    for episode, (start, length) in enumerate(zip(table.starts.tolist(), table.lengths.tolist(), strict=True)):
        for first in range(0, length, longest):
            yield Stretch(start, episode, first, min(first + longest, length))


@dataclass(frozen=True)
class Shards:
    """One file per stretch: a .npy file float16 [n, P, D] with the digest of its bytes at its end.

    What lies under a name is that stretch, complete, or shown to be damaged: a disk that was full, or a power cut that
    left a file without its contents, costs the stretch and no more.
    """

    folder: Path

    def path(self, stretch: Stretch) -> Path:
        """Where a stretch's latents are kept."""
        return self.folder / f"{stretch.name}.npy"

    def save(self, stretch: Stretch, latents: NDArray[np.float16]) -> None:
        """Keep and seal a stretch's latents [n, P, D]."""
        if len(latents) != len(stretch):
            raise ValueError(f"{len(latents)} latents for the {len(stretch)} frames of {stretch.name}")
        buffer = io.BytesIO()
        np.save(buffer, latents)
        content = buffer.getvalue()
        write_atomically(self.path(stretch), content + hashlib.sha256(content).digest())

    def has(self, stretch: Stretch) -> bool:
        """Whether a stretch is finished; a file of it that is not what was written is removed."""
        return self.load(stretch) is not None

    def load(self, stretch: Stretch) -> NDArray[np.float16] | None:
        """A stretch's latents [n, P, D]; None if there are none, or a damaged file of them, which is removed."""
        path = self.path(stretch)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        content, seal = data[:-SEAL_BYTES], data[-SEAL_BYTES:]
        if hashlib.sha256(content).digest() != seal:
            path.unlink(missing_ok=True)
            return None
        latents: NDArray[np.float16] = np.load(io.BytesIO(content), allow_pickle=False)
        return latents
