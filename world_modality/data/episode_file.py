"""One recorded episode as one parquet file, from the simulator to the dataset.

One row per control step: each camera's PNG bytes, in columns of their names, then ``state`` float32 [S] before the step
and ``action`` float32 [A], the expert's clean label. What the episode was is JSON under the schema's metadata key
``episode``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from world_modality.store.files import write_atomically

METADATA_KEY = b"episode"
STATE, ACTION = "state", "action"


@dataclass(frozen=True)
class EpisodeInfo:
    """What an episode was: enough to record it again."""

    suite: str
    task: int
    language: str
    init_state: int | None  # recorded one that it started from; None: drawn by its seed
    seed: int  # of environment, noise and policy draws
    success: bool
    steps: int  # control steps kept
    attempt: int  # how many episodes of this stage were tried before it


@dataclass(frozen=True)
class EpisodeFile:
    """An episode: ``pictures`` PNG bytes per camera and step, ``state`` float32 [L, S], ``action`` float32 [L, A]."""

    info: EpisodeInfo
    pictures: dict[str, tuple[bytes, ...]]
    state: NDArray[np.float32]
    action: NDArray[np.float32]

    def __post_init__(self) -> None:
        lengths = {self.info.steps, len(self.state), len(self.action), *map(len, self.pictures.values())}
        if len(lengths) != 1:
            raise ValueError(f"an episode's columns differ in length: {sorted(lengths)}")


def write_episode(path: Path, episode: EpisodeFile) -> None:
    """Write an episode so that the file is complete or absent; equal episodes give equal bytes."""
    columns = {camera: pa.array(pictures, pa.binary()) for camera, pictures in episode.pictures.items()}
    columns |= {STATE: _vectors(episode.state), ACTION: _vectors(episode.action)}
    metadata = {METADATA_KEY: json.dumps(asdict(episode.info), sort_keys=True).encode()}
    table = pa.table(columns).replace_schema_metadata(metadata)
    # PNG does not compress further.
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="none")
    write_atomically(path, buffer.getvalue().to_pybytes())


def read_episode(path: Path) -> EpisodeFile:
    """Read an episode that ``write_episode`` wrote."""
    table = pq.read_table(path)
    return EpisodeFile(
        info=_info(table.schema),
        pictures={name: tuple(table[name].to_pylist()) for name in table.column_names if name not in (STATE, ACTION)},
        state=_numbers(table, STATE),
        action=_numbers(table, ACTION),
    )


def read_episode_info(path: Path) -> EpisodeInfo:
    """What an episode was, without reading its rows."""
    return _info(pq.read_schema(path))


def _info(schema: pa.Schema) -> EpisodeInfo:
    return EpisodeInfo(**json.loads(schema.metadata[METADATA_KEY]))


def _numbers(table: pa.Table, column: str) -> NDArray[np.float32]:
    width = table.schema.field(column).type.list_size
    return np.array(table[column].to_pylist(), np.float32).reshape(-1, width)


def _vectors(rows: NDArray[np.float32]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float32()), rows.shape[1])
