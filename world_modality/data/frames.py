"""Pictures as lossless PNG bytes, and those of one episode at a time, from a LeRobotDataset of images or videos."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from world_modality.data.consistency import require_in_step
from world_modality.data.description import Description, read_description
from world_modality.data.episodes import table_of
from world_modality.data.schema import camera_column
from world_modality.errors import UserError, in_one_line

VIDEO_BACKEND = "pyav"  # torchcodec needs a system FFmpeg
TIMESTAMP_TOLERANCE = 1e-4  # seconds, LeRobot's own
# Measured on LIBERO pictures of 256x256: level 1 encodes in 4 ms and decodes in 1.5 ms at 69 kB, level 6 (what LeRobot
# would use for image columns) in 15 ms and 1.3 ms at 60 kB, no compression in 3 ms and 0.6 ms at 197 kB.
COMPRESS_LEVEL = 1
ROWS_AT_ONCE = 64  # of pictures that lie beside the frames, and
READ_BYTES = 2**20  # at once; bound memory
UNREADABLE = (OSError, ValueError, TypeError, LookupError, RuntimeError, SyntaxError, zlib.error, pa.ArrowException)
"""What reading a damaged file of rows or pictures ends in."""


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a picture uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """Picture uint8 [H, W, 3] of PNG bytes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


class FrameReader:
    """Reads one camera of a dataset, episode by episode; safe to call from several threads."""

    def __init__(self, dataset: Path | Description, camera: str) -> None:
        """Open the metadata of the dataset in a folder, or take those that were read.

        Raises:
            UserError: no dataset there, or it has no such camera, or its pictures are not where it says.
        """
        self._description = read_description(dataset) if isinstance(dataset, Path) else dataset
        self.table = table_of(self._description)
        self._column = camera_column(camera)
        if self._column not in self._description.cameras:
            cameras = ", ".join(self._description.cameras)
            root = self._description.root
            raise UserError(f"encoder.cameras: the dataset in {root} has no {self._column}, but {cameras}")
        require_in_step(self._description, self._column)
        self._is_video = self._column in self._description.videos

    @property
    def picture_bytes(self) -> int:
        """Of one frame, decoded, as the dataset describes it."""
        return math.prod(self._description.features[self._column]["shape"])

    def episode(self, number: int) -> NDArray[np.uint8]:
        """All frames of an episode, uint8 [L, H, W, 3].

        Raises:
            UserError: the data does not hold exactly the frames that the metadata promises.
        """
        return self.between(number, 0, int(self.table.lengths[number]))

    def between(self, number: int, first: int, end: int) -> NDArray[np.uint8]:
        """The frames of an episode after the steps [first, end), uint8 [n, H, W, 3]; UserError as in ``episode``.

        They are decoded in one go, each once; no more of the episode's pictures is held than these. Of a video up to
        one group of pictures ahead of the first is decoded too.
        """
        times = self._times(number)
        if self._is_video:
            return self._decode_video(number, times[first:end])
        with self._reading(number, self._data_file(number)):
            return self._decode_pictures(number, range(first, end))

    def at(self, number: int, steps: Sequence[int]) -> NDArray[np.uint8]:
        """The frames of an episode after ``steps``, uint8 [n, H, W, 3]; UserError as in ``episode``."""
        times = self._times(number)
        if self._is_video:
            # One by one: all that lies between would be decoded, too.
            return np.concatenate([self._decode_video(number, [times[step]]) for step in steps])
        with self._reading(number, self._data_file(number)):
            return self._decode_pictures(number, steps)

    @contextmanager
    def _reading(self, number: int, file: Path, *further: type[Exception]) -> Iterator[None]:
        """Whatever goes wrong with an episode's part of a file, in one sentence."""
        try:
            yield
        except (*UNREADABLE, *further) as error:
            raise UserError(
                f"{self._column} of episode {number} cannot be read from {file} ({in_one_line(error)}): the dataset is "
                "damaged, fetch or build it again"
            ) from error

    def _times(self, number: int) -> list[float]:
        """An episode's timestamps, once its rows were found to be those that the metadata promises."""
        path = self._data_file(number)
        with self._reading(number, path):
            rows = pq.read_table(path, columns=["index", "timestamp"], filters=self._own(number)).to_pydict()
        promised = range(int(self.table.starts[number]), int(self.table.ends[number]))
        if rows["index"] != list(promised):
            raise UserError(
                f"episode {number} in {path} does not hold frames {promised.start} to {promised.stop - 1} in order, "
                "as its metadata says: the dataset is damaged, fetch or build it again"
            )
        times: list[float] = rows["timestamp"]
        return times

    def _data_file(self, number: int) -> Path:
        return self._description.root / self._description.data_file(number)

    def _own(self, number: int) -> list[tuple[str, str, int]]:
        return [("episode_index", "=", self._description.rows[number]["episode_index"])]

    def _decode_pictures(self, number: int, steps: Sequence[int]) -> NDArray[np.uint8]:
        """Pictures that are kept as bytes beside the frames' other values, whose rows were checked."""
        places = self._places(number)[np.asarray(steps, np.int64)]
        found = dict[int, NDArray[np.uint8]]()
        stored = self._description.stored(self._column)
        # Page by page: a long episode's column may be larger than memory.
        with pq.ParquetFile(self._data_file(number), pre_buffer=False, buffer_size=READ_BYTES) as file:
            groups = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
            ends = np.cumsum(groups)
            needed = np.unique(np.searchsorted(ends, places, side="right"))
            for group in needed.tolist():
                place = int(ends[group] - groups[group])
                wanted = {int(each) for each in places if place <= each < ends[group]}
                for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[stored]):
                    for row in wanted & set(range(place, place + len(batch))):
                        found[row] = decode_png(batch.column(0)[row - place]["bytes"].as_py())
                    place += len(batch)
                    if place > max(wanted):
                        break
        return np.stack([found[place] for place in places.tolist()])

    def _places(self, number: int) -> NDArray[np.int64]:
        """Which rows of its file are an episode's, int64 [L]."""
        numbers = pq.read_table(self._data_file(number), columns=["episode_index"])["episode_index"].to_numpy()
        return np.flatnonzero(numbers == self._description.rows[number]["episode_index"])

    def _decode_video(self, number: int, timestamps: list[float]) -> NDArray[np.uint8]:
        from av.error import FFmpegError
        from lerobot.datasets.video_utils import decode_video_frames

        stretch = self._description.stretch(number, self._column)
        file = self._description.root / stretch.file
        times = [stretch.start + timestamp for timestamp in timestamps]
        with self._reading(number, file, FFmpegError):
            frames = decode_video_frames(file, times, TIMESTAMP_TOLERANCE, VIDEO_BACKEND, return_uint8=True)
        pictures: NDArray[np.uint8] = frames.permute(0, 2, 3, 1).contiguous().numpy()
        return pictures
