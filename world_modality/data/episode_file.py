"""One recorded episode as one parquet file, from the simulator to the dataset.

One row per control step: ``image`` and ``image2`` PNG bytes, ``state`` float32 [8] before the step, ``action``
float32 [7], the expert's clean label. What the episode was is JSON under the schema's metadata key ``episode``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from world_modality.data.schema import ACTION_SIZE, CAMERAS, STATE_SIZE
from world_modality.store.files import write_atomically
from world_modality.study.specs import Camera

METADATA_KEY = b"episode"

SCHEMA = pa.schema(
    [pa.field(camera, pa.binary()) for camera in CAMERAS]
    + [pa.field("state", pa.list_(pa.float32(), STATE_SIZE)), pa.field("action", pa.list_(pa.float32(), ACTION_SIZE))]
)


@dataclass(frozen=True)
class EpisodeInfo:
    """What an episode was: enough to record it again."""

    task: int
    language: str
    init_state: int
    seed: int  # of environment, noise and policy draws
    success: bool
    steps: int  # control steps kept
    attempt: int  # how many episodes of this stage were tried before it


@dataclass(frozen=True)
class EpisodeFile:
    """An episode: ``pictures`` PNG bytes per camera and step, ``state`` float32 [L, 8], ``action`` float32 [L, 7]."""

    info: EpisodeInfo
    pictures: dict[Camera, tuple[bytes, ...]]
    state: NDArray[np.float32]
    action: NDArray[np.float32]

    def __post_init__(self) -> None:
        lengths = {self.info.steps, len(self.state), len(self.action), *map(len, self.pictures.values())}
        if len(lengths) != 1:
            raise ValueError(f"an episode's columns differ in length: {sorted(lengths)}")


def write_episode(path: Path, episode: EpisodeFile) -> None:
    """Write an episode so that the file is complete or absent; equal episodes give equal bytes."""
    columns = [pa.array(episode.pictures[camera], pa.binary()) for camera in CAMERAS]
    columns += [_vectors(episode.state), _vectors(episode.action)]
    metadata = {METADATA_KEY: json.dumps(asdict(episode.info), sort_keys=True).encode()}
    table = pa.table(columns, schema=SCHEMA.with_metadata(metadata))
    # PNG does not compress further.
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="none")
    write_atomically(path, buffer.getvalue().to_pybytes())


def read_episode(path: Path) -> EpisodeFile:
    """Read an episode that ``write_episode`` wrote."""
    table = pq.read_table(path)
    return EpisodeFile(
        info=_info(table.schema),
        pictures={camera: tuple(table[camera].to_pylist()) for camera in CAMERAS},
        state=np.array(table["state"].to_pylist(), np.float32).reshape(-1, STATE_SIZE),
        action=np.array(table["action"].to_pylist(), np.float32).reshape(-1, ACTION_SIZE),
    )


def read_episode_info(path: Path) -> EpisodeInfo:
    """What an episode was, without reading its rows."""
    return _info(pq.read_schema(path))


def _info(schema: pa.Schema) -> EpisodeInfo:
    return EpisodeInfo(**json.loads(schema.metadata[METADATA_KEY]))


def _vectors(rows: NDArray[np.float32]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float32()), rows.shape[1])
