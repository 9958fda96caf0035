"""Pictures that cannot be decoded are told with file and episode, whatever the decoder ends in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.data_stages import moving_dots
from support.tiny_dataset import build_tiny_dataset, write_dataset

from world_modality.data.frames import FrameReader
from world_modality.errors import UserError

COLUMN = "observation.images.image"
PLACE = Path("data", "chunk-000", "file-000.parquet")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("pictures") / "set", episodes=2, frames=5)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    feature = {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channel"]}
    episodes = ([{COLUMN: each, "task": "watch"} for each in moving_dots(12, 64, seed)] for seed in (0, 1))
    return write_dataset(tmp_path_factory.mktemp("videos") / "set", {COLUMN: feature}, episodes, videos=True)


SPOILT: dict[str, Callable[[bytes], bytes | None]] = {
    "none": lambda data: None,
    "empty": lambda data: b"",
    "no_picture": lambda data: b"no picture",
    "cut": lambda data: data[: len(data) // 2],
    "other_bytes": lambda data: data[:60] + bytes(200) + data[260:],
}


@pytest.mark.parametrize("damage", SPOILT)
def test_a_damaged_picture_is_told(pictures: Path, tmp_path: Path, damage: str) -> None:
    copy = Path(shutil.copytree(pictures, tmp_path / "set"))
    table = pq.read_table(copy / PLACE)
    values = table[COLUMN].to_pylist()
    values[7]["bytes"] = SPOILT[damage](values[7]["bytes"])  # of the second episode, which begins at 5
    column = pa.array(values, table.schema.field(COLUMN).type)
    pq.write_table(table.set_column(table.schema.get_field_index(COLUMN), COLUMN, column), copy / PLACE)
    reader = FrameReader(copy, "image")
    assert len(reader.episode(0)) == 5
    for read in (lambda: reader.episode(1), lambda: reader.at(1, (2,))):
        with pytest.raises(UserError, match=rf"^{COLUMN} of episode 1 cannot be read from {copy / PLACE} \(.*damaged,"):
            read()


def test_a_damaged_data_file_is_told(pictures: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pictures, tmp_path / "set"))
    reader = FrameReader(copy, "image")
    (copy / PLACE).write_bytes((copy / PLACE).read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"^{COLUMN} of episode 0 cannot be read from {copy / PLACE}"):
        reader.episode(0)


@pytest.mark.parametrize("damage", ["cut", "emptied", "other_bytes"])
def test_a_damaged_video_is_told(videos: Path, tmp_path: Path, damage: str) -> None:
    copy = Path(shutil.copytree(videos, tmp_path / "set"))
    reader = FrameReader(copy, "image")
    (file,) = (copy / "videos").rglob("*.mp4")
    content = file.read_bytes()
    half = len(content) // 2
    spoilt = {"cut": content[:half], "emptied": b"", "other_bytes": content[:48] + bytes(half) + content[48 + half :]}
    file.write_bytes(spoilt[damage])
    with pytest.raises(UserError, match=rf"^{COLUMN} of episode 0 cannot be read from {file} \(") as error:
        reader.episode(0)
    assert "\n" not in str(error.value)
