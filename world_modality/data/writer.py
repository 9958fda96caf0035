"""Recorded episodes into a LeRobotDataset v3, without encoding a picture twice."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from world_modality.data.episode_file import EpisodeFile
from world_modality.data.frames import decode_png
from world_modality.data.schema import ACTION, STATE, camera_column, dataset_features
from world_modality.data.tables import copy_table
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES

SAMPLED_PICTURES = 20  # per episode and camera, for the pixel statistics
PIXEL_STRIDE = 4


class EpisodeWriter:
    """Writes the episodes it is given, in order, as the dataset at ``root``; a context manager that completes it.

    LeRobot takes picture files by path and embeds their bytes, so the PNGs of the recording reach the dataset as
    they are.
    """

    def __init__(self, root: Path, repo_id: str, fps: int) -> None:
        """Prepare to create ``root``, which must not exist yet."""
        self._root, self._repo_id, self._fps = root, repo_id, fps
        self._dataset: Any = None
        self._suite = ""  # of the first episode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._dataset is not None:
            self._dataset.finalize()

    def add(self, episode: EpisodeFile) -> None:
        """Append an episode. All episodes must have pictures of one size, cameras, states and actions of one layout.

        UserError if an episode's suite has another layout than the first one's.
        """
        if self._dataset is None:
            self._dataset = self._create(episode)
        self._require_layout(episode)
        steps = episode.info.steps
        with tempfile.TemporaryDirectory(dir=self._root) as folder, quick_picture_statistics():
            rows: dict[str, Any] = {
                "size": steps,
                "task": [episode.info.language] * steps,
                "episode_index": self._dataset.meta.total_episodes,
                "frame_index": np.arange(steps),
                "timestamp": np.arange(steps) / self._fps,
                "index": [],  # LeRobot fills these two in
                "task_index": [],
                STATE: list(episode.state),
                ACTION: list(episode.action),
            }
            for camera in episode.pictures:
                rows[camera_column(camera)] = _picture_files(episode.pictures[camera], Path(folder, camera))
            self._dataset.save_episode(episode_data=rows)

    def _require_layout(self, episode: EpisodeFile) -> None:
        """One dataset has one robot: what differs between suites may be their tasks alone."""
        layouts = [
            (tuple(suite.cameras), suite.state, suite.action.names, suite.fps)
            for suite in (SUITES[self._suite], SUITES[episode.info.suite])
        ]
        if layouts[0] != layouts[1]:
            raise UserError(
                f"the suites {self._suite} and {episode.info.suite} differ in cameras, state, action or rate, so their "
                "episodes make no common dataset: name suites of one robot as the study's"
            )

    def _create(self, episode: EpisodeFile) -> Any:
        import datasets
        from lerobot.datasets.lerobot_dataset import LeRobotDataset

        datasets.disable_progress_bars()  # one bar per episode otherwise
        self._suite = episode.info.suite
        suite = SUITES[self._suite]
        first = next(iter(episode.pictures.values()))[0]
        features = dataset_features(suite, decode_png(first).shape[0], self._fps)
        return LeRobotDataset.create(
            self._repo_id,
            self._fps,
            features,
            root=self._root,
            robot_type=suite.robot,
            use_videos=False,
            video_backend="pyav",  # never used; looking for the default one prints a page
        )


def _picture_files(pictures: Sequence[bytes], folder: Path) -> list[str]:
    folder.mkdir()
    paths = [folder / f"frame-{step:06d}.png" for step in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(picture)
    return [str(path) for path in paths]


@contextmanager
def quick_picture_statistics() -> Iterator[None]:
    """Let LeRobot's pixel statistics look at every 4th row and column of 20 pictures per episode.

    Stock, it reads every pixel of 100 or more, 1 s per episode and camera. SmolVLA does not normalise pictures, so
    nothing uses these numbers; they are written for whoever looks at the dataset.
    """
    from lerobot.datasets import compute_stats

    stock = compute_stats.sample_images
    compute_stats.sample_images = _sample_pictures
    try:
        yield
    finally:
        compute_stats.sample_images = stock


def _sample_pictures(paths: Sequence[str]) -> NDArray[np.uint8]:
    """Like LeRobot's sample_images: pictures uint8 [n, 3, H, W] evenly spread over the episode."""
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), SAMPLED_PICTURES)).round().astype(int)
    pictures = [decode_png(Path(paths[step]).read_bytes())[::PIXEL_STRIDE, ::PIXEL_STRIDE] for step in chosen]
    return np.stack(pictures).transpose(0, 3, 1, 2)


def copy_without_fingerprint(source: Path, target: Path) -> None:
    """Copy a data file of the dataset, row group by row group, without the mark that ``datasets`` leaves in it.

    The mark is a digest of the paths that the pictures were read from; without it equal episodes give equal bytes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetFile(source) as file:
        mark = json.loads(file.schema_arrow.metadata[b"huggingface"])
        mark.pop("fingerprint", None)
        schema = file.schema_arrow.with_metadata({b"huggingface": json.dumps(mark).encode()})
    copy_table(source, target, schema)
