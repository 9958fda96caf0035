"""What of a cache is made in one go, and how it is kept until the cache is assembled: sealed, so it can be trusted.

A dataset is cut into stretches, an episode each, or several where an episode is long: so long ones are shared out too,
and no process holds more than a stretch of them.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_magic
from numpy.typing import NDArray

from world_modality.data.episodes import EpisodeTable
from world_modality.encoders.encoder import clip_rows
from world_modality.store.files import write_atomically

SHARDS = "shards"  # their folder in the work of the stage
STRETCH = 512  # frames at most: 100 MB of pictures of 256 x 256
STRETCH_BYTES = 256 * 2**20  # of larger pictures, decoded: bounds memory, since several stretches are held at once
SHORTEST = 32  # frames, of the largest pictures: those before a stretch are decoded too
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

    def pieces(self, longest: int) -> Iterator[Stretch]:
        """The stretch in order, each piece of at most ``longest`` frames."""
        for first in range(self.first, self.end, longest):
            yield Stretch(self.start, self.episode, first, min(first + longest, self.end))

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
        yield from Stretch(start, episode, 0, length).pieces(longest)


def longest_stretch(picture_bytes: int) -> int:
    """Frames that are decoded in one go, of pictures of so many bytes.

    >>> longest_stretch(256 * 256 * 3), longest_stretch(480 * 640 * 3), longest_stretch(2160 * 3840 * 3)
    (512, 291, 32)
    """
    return max(SHORTEST, min(STRETCH, STRETCH_BYTES // picture_bytes))


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
        """Whether a stretch is finished, by its file's size and ends; one that was cut short or emptied is removed.

        Quick enough to be asked again and again. ``load`` reads all of it.
        """
        path = self.path(stretch)
        try:
            with path.open("rb") as file:
                whole = _is_whole(file)
        except FileNotFoundError:
            return False
        if not whole:
            path.unlink(missing_ok=True)
        return whole

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


def _is_whole(file: BinaryIO) -> bool:
    """Whether an open shard has the size that its array's header promises, and a digest at its end."""
    try:
        read_magic(file)  # type: ignore[no-untyped-call]
        shape, _, dtype = read_array_header_1_0(file)  # type: ignore[no-untyped-call]
        size = file.tell() + math.prod(shape) * dtype.itemsize + SEAL_BYTES
    except OSError:
        raise  # the disk's, which says nothing about the file
    except Exception:  # numpy lets Python parse the header, which fails in any way where a bit of it was flipped
        return False
    if file.seek(0, os.SEEK_END) != size:
        return False
    file.seek(-SEAL_BYTES, os.SEEK_END)
    return any(file.read())
