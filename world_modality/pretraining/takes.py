"""One filmed episode as one parquet file: pictures shot by shot, and where everything was.

One row per frame. What the episode was, and the names of its objects, is JSON under the schema's metadata key ``take``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from world_modality.data.frames import decode_png
from world_modality.store.files import write_atomically

METADATA_KEY = b"take"
EPISODES = "episodes"
"""Folder of a footage stage's artifact that holds its takes."""


@dataclass(frozen=True)
class TakeInfo:
    """What was filmed."""

    suite: str
    task: int
    language: str
    seed: int
    motion: str
    """``scripted`` or ``wandering``."""
    solved: bool
    objects: tuple[str, ...]
    """The n movable things."""
    rate: int
    """Frames per second of simulated time."""


@dataclass(frozen=True)
class Take:
    """F filmed frames of an episode, shot after shot."""

    info: TakeInfo
    pictures: tuple[bytes, ...]
    """PNG, square."""
    cameras: tuple[str, ...]
    """Of each frame."""
    shots: NDArray[np.int64]
    """Number of each frame's shot [F], rising."""
    hand: NDArray[np.float32]
    """[F, 3] (m): the point between the fingers."""
    opening: NDArray[np.float32]
    """[F] (m): distance of the fingers."""
    places: NDArray[np.float32]
    """[F, n, 3] (m): origins of the objects."""
    touched: NDArray[np.bool_]
    """[F, n]: which of them the hand touches."""

    def decoded(self) -> NDArray[np.uint8]:
        """All pictures, uint8 [F, H, W, 3]."""
        return np.stack([decode_png(picture) for picture in self.pictures])


def write_take(path: Path, take: Take) -> None:
    """Write a take so that the file is complete or absent; equal takes give equal bytes."""
    table = pa.table(
        {
            "picture": pa.array(take.pictures, pa.binary()),
            "camera": pa.array(take.cameras, pa.string()),
            "shot": pa.array(take.shots, pa.int64()),
            "hand": _rows(take.hand),
            "opening": pa.array(take.opening, pa.float32()),
            "places": _rows(take.places.reshape(len(take.hand), -1)),
            "touched": _rows(take.touched),
        }
    )
    info = json.dumps(asdict(take.info), sort_keys=True).encode()
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: info}), buffer, compression="none")  # of PNGs
    write_atomically(path, buffer.getvalue().to_pybytes())


def read_take(path: Path) -> Take:
    """Read a take that ``write_take`` wrote."""
    table = pq.read_table(path)
    told = json.loads(table.schema.metadata[METADATA_KEY])
    info = TakeInfo(**{**told, "objects": tuple(told["objects"])})
    frames, count = table.num_rows, len(info.objects)
    return Take(
        info=info,
        pictures=tuple(table["picture"].to_pylist()),
        cameras=tuple(table["camera"].to_pylist()),
        shots=table["shot"].to_numpy(),
        hand=_numbers(table, "hand").reshape(frames, 3),
        opening=table["opening"].to_numpy(),
        places=_numbers(table, "places").reshape(frames, count, 3),
        touched=_numbers(table, "touched").reshape(frames, count).astype(np.bool_),
    )


def clips_of(shots: NDArray[np.int64], frames: int) -> NDArray[np.int64]:
    """Rows int64 [N, frames] of all clips of so many successive frames of one shot, oldest first.

    >>> clips_of(np.array([0, 0, 0, 1, 1]), 2).tolist()
    [[0, 1], [1, 2], [3, 4]]
    """
    ends = np.arange(frames - 1, len(shots))
    whole = ends[shots[ends] == shots[ends - frames + 1]]
    rows: NDArray[np.int64] = whole[:, None] + np.arange(1 - frames, 1)
    return rows


def _rows(values: NDArray[np.generic]) -> pa.Array:
    kind = pa.bool_() if values.dtype == np.bool_ else pa.float32()
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), kind), values.shape[1])


def _numbers(table: pa.Table, column: str) -> NDArray[np.float32]:
    return np.array(table[column].to_pylist(), np.float32)
