"""Frames of an image dataset, decoded once and kept in memory, behind LeRobot's own reader.

LeRobot's reader asks its Arrow table for whole rows and decodes every picture of every row it touches: one
item with a chunk of 10 actions decodes 28 pictures. ``DecodedFrames`` answers the same queries column by
column, so that LeRobot's ``get_item`` stays in charge of windows and padding.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

MEMORY_SHARE = 0.4  # of the memory that is available when training starts
NUMBERS = ("float32", "int64", "bool")
"""Types of a dataset's columns that become tensors as they are."""
PNG = b"\x89PNG"
CGROUPS = Path("/sys/fs/cgroup")


def decode_picture(data: bytes) -> Tensor:
    """Decode an RGB picture to uint8 [3, H, W]; dividing by 255 gives LeRobot's float picture bit for bit."""
    from torchvision.io import ImageReadMode, decode_png

    if data.startswith(PNG):
        picture: Tensor = decode_png(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
        return picture
    pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


@dataclass(frozen=True)
class Shrink:
    """Resizes as SmolVLA would, if the result takes no more memory than the uint8 picture; else keeps the picture.

    SmolVLA leaves a picture alone that already has its input size, so the policy sees the same numbers, bit
    for bit, as if it had resized by itself.
    """

    width: int
    height: int

    def __call__(self, picture: Tensor) -> Tensor:
        """Picture uint8 [3, H, W] -> the same, or float32 [3, height, width] in [0, 1]."""
        from lerobot.policies.common.vla_utils import resize_with_pad

        if 4 * self.width * self.height > picture.shape[1] * picture.shape[2]:  # a float takes four bytes
            return picture
        scaled = picture[None].to(torch.float32) / 255.0
        resized: Tensor = resize_with_pad(scaled, self.height, self.width, pad_value=0)
        return resized[0]


class _Column:
    """One column, indexed by a list of rows as ``datasets.Dataset["name"][rows]`` is."""

    def __init__(self, frames: DecodedFrames, name: str) -> None:
        self._frames, self._name = frames, name

    def __getitem__(self, rows: Sequence[int]) -> list[Tensor]:
        return [self._frames.value(self._name, row) for row in rows]


class DecodedFrames:
    """Stands in for the Hugging Face table of LeRobot's ``DatasetReader``.

    ``frames[row]`` is a dict of tensors, ``frames[name][rows]`` a list of tensors, as with the table; a picture is
    what ``shrink`` makes of its uint8 [3, H, W]. Columns in ``windowed`` are left out of rows: the reader fetches
    them by column and would overwrite them. Pictures are kept until ``budget`` bytes are used. A copy in
    another process starts empty.
    """

    def __init__(
        self, table: Any, pictures: Sequence[str], windowed: Sequence[str], shrink: Shrink | None, budget: int
    ) -> None:
        self._table = table
        self._pictures = tuple(pictures)
        self._windowed = frozenset(windowed)
        self._shrink = shrink
        self._budget = budget
        self._kept: dict[tuple[str, int], Tensor] = {}
        self._batch: dict[tuple[str, int], Tensor] = {}

    @cached_property
    def _numbers(self) -> dict[str, Tensor]:
        columns = self._table.data.table
        return {
            name: torch.tensor(columns.column(name).to_pylist())
            for name in columns.column_names
            if name not in self._pictures
        }

    @cached_property
    def _encoded(self) -> dict[str, tuple[list[Any], NDArray[np.int64]]]:
        """Per picture column: its chunks of encoded pictures, and the row where each chunk ends."""
        chunks = {name: self._table.data.table.column(name).chunks for name in self._pictures}
        return {
            name: ([chunk.field("bytes") for chunk in parts], np.cumsum([len(chunk) for chunk in parts]))
            for name, parts in chunks.items()
        }

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, key: int | str) -> dict[str, Tensor] | _Column:
        if isinstance(key, str):
            return _Column(self, key)
        names = [name for name in (*self._numbers, *self._pictures) if name not in self._windowed]
        return {name: self.value(name, key) for name in names}

    def value(self, name: str, row: int) -> Tensor:
        """The value of column ``name`` in ``row``."""
        if name in self._numbers:
            return self._numbers[name][row]
        ready = self._kept.get((name, row), self._batch.get((name, row)))
        return ready if ready is not None else self._small(self.decode(name, row))

    def decode(self, name: str, row: int) -> Tensor:
        """The picture ``name`` of ``row``, uint8 [3, H, W]."""
        chunks, ends = self._encoded[name]
        chunk = int(np.searchsorted(ends, row, side="right"))
        from_end = row - int(ends[chunk])  # negative: counted from the chunk's end
        return decode_picture(chunks[chunk][from_end].as_py())

    def _small(self, picture: Tensor) -> Tensor:
        return picture if self._shrink is None else self._shrink(picture)

    def prepare(self, rows: Sequence[int], pool: ThreadPoolExecutor) -> None:
        """Decode the pictures of ``rows`` that are not kept yet, in parallel, and hold them for the next reads."""
        wanted = [(name, row) for row in dict.fromkeys(rows) for name in self._pictures]
        missing = [place for place in wanted if place not in self._kept]
        self._batch = {}
        for place, picture in zip(missing, pool.map(lambda place: self.decode(*place), missing), strict=True):
            # Here and not in the pool: how a resize rounds may depend on the thread count, which the main thread sets.
            small = self._small(picture)
            self._batch[place] = small
            if small.nbytes <= self._budget:
                self._budget -= small.nbytes
                self._kept[place] = small


class BatchFetch:
    """Fetches a batch's items from a dataset, after its pictures were decoded in parallel.

    Torch's fetcher calls a dataset's ``__getitems__`` with the rows of a whole batch, if there is one.
    """

    def __init__(self, dataset: Any, frames: DecodedFrames, threads: int) -> None:
        self._dataset, self._frames, self._threads = dataset, frames, threads
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The items of ``rows``, in order."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads)
        self._frames.prepare(rows, self._pool)
        return [self._dataset[row] for row in rows]


def keep_frames_in_memory(dataset: Any, shrink: Shrink | None, *, threads: int, budget: int | None = None) -> bool:
    """Let a ``LeRobotDataset`` read through ``DecodedFrames``; False if its format needs LeRobot's own table.

    Args:
        dataset: with pictures stored as images; one with videos, depth or text columns is left as it is.
        shrink: makes what is kept of a picture; None keeps it whole.
        threads: decoders at a time.
        budget: bytes, by default ``MEMORY_SHARE`` of the available memory.
    """
    table = dataset.hf_dataset
    plain = all(feature["dtype"] in ("image", *NUMBERS) for feature in dataset.meta.features.values())
    if not dataset.meta.image_keys or dataset.meta.depth_keys or not plain or table._indices is not None:
        return False
    budget = int(available_memory() * MEMORY_SHARE) if budget is None else budget
    frames = DecodedFrames(table, dataset.meta.image_keys, list(dataset.reader.delta_indices or ()), shrink, budget)
    dataset.reader.hf_dataset = frames
    dataset.__getitems__ = BatchFetch(dataset, frames, threads)
    return True


def leave_pictures_out(dataset: Any) -> None:
    """Let a ``LeRobotDataset`` read no picture, stored or filmed, for a policy that does not look at any."""
    reader, meta = dataset.reader, dataset.meta
    table = dataset.hf_dataset.remove_columns(meta.image_keys)
    numbers = all(meta.features[name]["dtype"] in NUMBERS for name in table.column_names)
    plain = numbers and table._indices is None
    reader.hf_dataset = DecodedFrames(table, (), list(reader.delta_indices or ()), None, 0) if plain else table
    reader._query_videos = lambda *_: {}


def available_memory(
    meminfo: Path = Path("/proc/meminfo"), membership: Path = Path("/proc/self/cgroup"), cgroups: Path = CGROUPS
) -> int:
    """Bytes that can be taken without swapping or being killed; containers and batch systems limit a control group."""
    return min([_machine(meminfo), *_groups(membership, cgroups)])


def _machine(meminfo: Path) -> int:
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _groups(membership: Path, cgroups: Path) -> list[int]:
    """What each limited group (version 2) above this process has left, without the caches it can drop."""
    own = next((line[3:] for line in _lines(membership) if line.startswith("0::")), None)
    if own is None:
        return []
    group, found = cgroups / own.strip("/"), []
    for folder in (group, *group.parents):
        limit, used = _lines(folder / "memory.max"), _lines(folder / "memory.current")
        if limit and used and limit[0].isdigit():
            dropped = [
                int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.startswith("inactive_file ")
            ]
            found.append(max(0, int(limit[0]) - int(used[0]) + sum(dropped)))
        if folder == cgroups:
            break
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []
