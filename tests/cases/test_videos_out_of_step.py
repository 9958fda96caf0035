"""Datasets of videos whose frames are not where their metadata says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.command_line import ENCODE, Outcome, assert_refused, wm
from support.given_inputs import edit_json
from support.tiny_dataset import TASKS, libero_features, write_dataset

SIZE, FRAMES, FPS = 64, 8, 10
VIDEO = "videos/observation.images.image/chunk-000/file-000.mp4"
Spoil = Callable[[Path], None]
Encode = Callable[[Path], Outcome]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes in one file for each camera; brightness tells episode and frame."""
    features = libero_features(SIZE)
    for feature in features.values():
        feature["dtype"] = "video" if feature["dtype"] == "image" else feature["dtype"]

    def frame(episode: int, step: int) -> dict[str, object]:
        shown = np.full((SIZE, SIZE, 3), 20 + 100 * episode + 10 * step, np.uint8)
        pictures = {name: shown for name in features if features[name]["dtype"] == "video"}
        still = {"observation.state": np.zeros(8, np.float32), "action": np.zeros(7, np.float32)}
        return {**pictures, **still, "task": TASKS[0]}

    episodes = [[frame(episode, step) for step in range(FRAMES)] for episode in range(2)]
    return write_dataset(tmp_path_factory.mktemp("videos") / "whole", features, episodes, videos=True)


@pytest.fixture
def encode(place: Path, encoders: Callable[[str], Path]) -> Encode:
    def run(data: Path) -> Outcome:
        output = place / f"latents-{data.name}"
        return wm(*ENCODE, "--dataset", data, "--encoder", encoders("dinov2"), "--output", output, "--cores", 1)

    return run


def shift_second_episode(data: Path, seconds: float) -> None:
    for file in (data / "meta" / "episodes").rglob("*.parquet"):
        table = pq.read_table(file).to_pandas()
        for name in [column for column in table if column.endswith("from_timestamp")]:
            table.loc[1, name] += seconds
        pq.write_table(pa.Table.from_pandas(table), file)


def late(data: Path) -> None:
    """Two frames; the file ends before the episode does."""
    shift_second_episode(data, 2 / FPS)


def early(data: Path) -> None:
    """Two frames, which are the first episode's last ones."""
    shift_second_episode(data, -2 / FPS)


def cut_short(data: Path) -> None:
    """The recording's end is lost."""
    for file in (data / "videos").rglob("*.mp4"):
        with av.open(str(file)) as source:
            frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)][:-3]
        with av.open(str(file), "w") as target:
            stream = target.add_stream("libx264", rate=FPS)
            stream.width = stream.height = SIZE
            for frame in frames:
                target.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            target.mux(stream.encode())


def another_rate(data: Path) -> None:
    edit_json(data / "meta" / "info.json", lambda info: info.update(fps=2 * FPS))


def unnamed_tasks(data: Path) -> None:
    """The index of the table of tasks has no name, as some programs write it."""
    file = data / "meta" / "tasks.parquet"
    table = pd.read_parquet(file)
    table.index.name = None
    table.to_parquet(file)


def spoilt(place: Path, videos: Path, spoil: Spoil) -> Path:
    shutil.copytree(videos, place / spoil.__name__)
    spoil(place / spoil.__name__)
    return place / spoil.__name__


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (early, ("episode 1", VIDEO)),
        (late, ("episode 1", VIDEO)),
        (cut_short, ("episode 1", VIDEO)),
        (another_rate, ("meta/info.json", "20", "10")),
    ],
)
def test_what_is_out_of_step_is_refused(
    place: Path, videos: Path, encode: Encode, spoil: Spoil, named: tuple[str, ...]
) -> None:
    assert_refused(encode(spoilt(place, videos, spoil)), *named)


def test_tables_without_names_are_read_as_those_with_names(place: Path, videos: Path, encode: Encode) -> None:
    unnamed = spoilt(place, videos, unnamed_tasks)
    for data in (videos, unnamed):
        outcome = encode(data)
        assert outcome.accepted, outcome.said
    assert np.array_equal(*(np.load(place / f"latents-{data.name}" / "latents.npy") for data in (videos, unnamed)))
