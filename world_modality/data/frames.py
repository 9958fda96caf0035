"""The pictures of one episode at a time, each decoded once, from a LeRobotDataset of images or videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from world_modality.data.episodes import load_metadata, read_episode_table
from world_modality.data.pictures import decode_png
from world_modality.data.schema import camera_column
from world_modality.errors import UserError

VIDEO_BACKEND = "pyav"  # torchcodec needs a system FFmpeg
TIMESTAMP_TOLERANCE = 1e-4  # seconds, LeRobot's own


class FrameReader:
    """Reads one camera of a dataset, episode by episode; safe to call from several threads."""

    def __init__(self, root: Path, camera: str) -> None:
        """Open the dataset's metadata.

        Raises:
            UserError: no dataset there, or it has no such camera.
        """
        self.table = read_episode_table(root)
        self._root = root
        self._metadata: Any = load_metadata(root)
        self._column = camera_column(camera)
        if self._column not in self._metadata.camera_keys:
            cameras = ", ".join(self._metadata.camera_keys)
            raise UserError(f"encoder.cameras: the dataset in {root} has no {self._column}, but {cameras}")
        self._is_video = self._column in self._metadata.video_keys

    def episode(self, number: int) -> NDArray[np.uint8]:
        """All frames of an episode, uint8 [L, H, W, 3].

        Raises:
            UserError: the data does not hold exactly the frames that the metadata promises.
        """
        path = self._root / self._metadata.get_data_file_path(number)
        columns = ["index", "timestamp"] if self._is_video else ["index", self._column]
        rows = pq.read_table(path, columns=columns, filters=[("episode_index", "=", number)]).to_pydict()
        promised = range(int(self.table.starts[number]), int(self.table.ends[number]))
        if rows["index"] != list(promised):
            raise UserError(
                f"episode {number} in {path} does not hold frames {promised.start} to {promised.stop - 1} in order, "
                "as its metadata says: the dataset is damaged, fetch or build it again"
            )
        if self._is_video:
            return self._decode_video(number, rows["timestamp"])
        return np.stack([decode_png(picture["bytes"]) for picture in rows[self._column]])

    def _decode_video(self, number: int, timestamps: list[float]) -> NDArray[np.uint8]:
        from lerobot.datasets.video_utils import decode_video_frames

        offset = self._metadata.episodes[number][f"videos/{self._column}/from_timestamp"]
        frames = decode_video_frames(
            self._root / self._metadata.get_video_file_path(number, self._column),
            [offset + timestamp for timestamp in timestamps],
            TIMESTAMP_TOLERANCE,
            VIDEO_BACKEND,
            return_uint8=True,
        )
        pictures: NDArray[np.uint8] = frames.permute(0, 2, 3, 1).contiguous().numpy()
        return pictures
