"""What a LeRobotDataset says of itself, and what is wrong with it by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.given_inputs import edit_json
from support.tiny_dataset import TASKS, build_tiny_dataset

from world_modality.data.consistency import bound_faults, column_faults, frame_faults, text_fault
from world_modality.data.description import read_description
from world_modality.data.episodes import load_metadata, read_episode_table
from world_modality.data.schema import picture_sizes, plain_pictures
from world_modality.errors import UserError

INFO, EPISODES, DATA = "meta/info.json", "meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("described") / "whole")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


def info(copy: Path, **changes: object) -> None:
    edit_json(copy / INFO, lambda value: value.update(changes))


def edit_table(file: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(file)), file)


def test_it_is_what_lerobot_reads(whole: Path) -> None:
    ours, theirs = read_description(whole), load_metadata(whole)
    assert (ours.fps, tuple(ours.cameras)) == (theirs.fps, tuple(theirs.camera_keys))
    for number, row in enumerate(theirs.episodes):
        assert ours.data_file(number) == str(theirs.get_data_file_path(number))
        assert ours.rows[number]["dataset_from_index"] == row["dataset_from_index"]
    assert list(ours.episode_texts()) == [" / ".join(texts) for texts in theirs.episodes["tasks"]]
    assert dict(ours.texts) == {int(row.task_index): text for text, row in theirs.tasks.iterrows()}
    columns = ours.columns("action", "index")
    assert columns["action"].shape == (45, 7)
    assert columns["index"].tolist() == list(range(45))
    assert not [*bound_faults(ours), *frame_faults(ours)]
    assert text_fault(ours) is None


def test_folders_whose_names_look_like_patterns_are_read_by_lerobot_too(whole: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(whole, tmp_path / "a [x] *b?" / "data"))
    assert read_episode_table(odd).tasks == read_episode_table(whole).tasks
    assert load_metadata(odd).total_frames == 45


@pytest.mark.parametrize("version", ["v2.0", "v2.1", "2.1", "v1.6"])
def test_older_versions_are_told_how_they_are_converted(copy: Path, version: str) -> None:
    info(copy, codebase_version=version)
    with pytest.raises(UserError, match=f"LeRobotDataset {version}, .* --root={copy} --push-to-hub=false"):
        read_description(copy)
    with pytest.raises(UserError, match="--repo-id=me/data --push"):
        read_description(copy, "me/data")


def spoilt_descriptions() -> Iterator[tuple[dict[str, Any], str]]:
    yield {"codebase_version": None}, "no LeRobotDataset v3"
    yield {"codebase_version": "v4.0"}, "no LeRobotDataset v3"
    yield {"features": None}, "no features"
    yield {"features": {"action": {"dtype": "float32"}}}, "no features"
    yield {"fps": 0}, "fps is 0"
    yield {"fps": None}, "fps is None"
    yield {"data_path": None}, "data_path is None"
    yield {"data_path": "../other/{file_index}.parquet"}, "leads out of the dataset, to ../other/"
    yield {"data_path": "/etc/{file_index}.parquet"}, "leads out of the dataset, to /etc/"


@pytest.mark.parametrize(("changes", "named"), spoilt_descriptions())
def test_a_damaged_description_is_told(copy: Path, changes: dict[str, Any], named: str) -> None:
    info(copy, **changes)
    with pytest.raises(UserError, match=named):
        read_description(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", "\0"])
def test_a_description_that_is_no_object_is_told(copy: Path, text: str) -> None:
    (copy / INFO).write_text(text)
    with pytest.raises(UserError, match=INFO):
        read_description(copy)


@pytest.mark.parametrize("file", [EPISODES, DATA, "meta/tasks.parquet"])
def test_a_table_that_is_cut_short_is_told(copy: Path, file: str) -> None:
    (copy / file).write_bytes((copy / file).read_bytes()[:100])
    description = read_description(copy)
    with pytest.raises(UserError, match=f"{file} cannot be read"):
        print(description.rows, description.columns("action"), description.texts)


def test_texts_are_found_without_the_episode_tables(copy: Path, whole: Path) -> None:
    edit_table(copy / EPISODES, lambda table: table.drop_columns(["tasks"]))
    assert read_episode_table(copy).tasks == read_episode_table(whole).tasks == (TASKS[0], TASKS[1], TASKS[0])


def test_a_task_index_without_a_text_is_told(copy: Path) -> None:
    edit_table(copy / EPISODES, lambda table: table.drop_columns(["tasks"]))
    edit_table(copy / "meta/tasks.parquet", lambda table: table.slice(0, 1))
    with pytest.raises(UserError, match=r"meta/tasks\.parquet has no task"):
        read_episode_table(copy)


def rewrite_texts(copy: Path, change: Callable[[list[str]], list[str]]) -> None:
    """The texts that the frames' task indices stand for."""

    def changed(table: pa.Table) -> pa.Table:
        at = table.column_names.index("task")
        return table.set_column(at, "task", pa.array(change(table["task"].to_pylist())))

    edit_table(copy / "meta/tasks.parquet", changed)


@pytest.mark.parametrize("text", ["", " \t\n"])
def test_texts_of_nothing_are_found_though_the_episode_table_has_some(copy: Path, text: str) -> None:
    rewrite_texts(copy, lambda texts: [text] * len(texts))
    fault = text_fault(read_description(copy))
    assert fault is not None
    assert "every prompt is empty" in fault.message


def test_texts_that_the_episode_table_does_not_have_are_found(copy: Path) -> None:
    rewrite_texts(copy, lambda texts: texts[::-1])
    fault = text_fault(read_description(copy))
    assert fault is not None
    assert "the frames of 3 of 3 episodes say something else than the episode table" in fault.message
    assert f"those of episode 0 say '{TASKS[1]}', and meta/episodes '{TASKS[0]}'" in fault.message
    assert read_episode_table(copy).tasks == (TASKS[1], TASKS[0], TASKS[1])  # what a policy learns


def column(name: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        at = table.column_names.index(name)
        return table.set_column(
            at, table.schema.field(at), pa.array(change(table[name].to_pylist()), table.schema.field(at).type)
        )

    return changed


@pytest.mark.parametrize(
    "change", [lambda numbers: numbers[::-1], lambda numbers: [n + 1 for n in numbers], lambda _: [0, 0]]
)
def test_tasks_in_another_order_than_lerobot_counts_them_are_refused(copy: Path, change: Any) -> None:
    edit_table(copy / "meta/tasks.parquet", column("task_index", change))
    with pytest.raises(UserError, match="not 0, 1, 2 and so on in order: LeRobot takes the text in the row"):
        read_episode_table(copy)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("episode_index", lambda numbers: [1, 0, 2], "has episode_index 1: LeRobot would give its frames another"),
        ("episode_index", lambda numbers: [0, 1, 3], "episode 2 in the order of frames has episode_index 3"),
        ("length", lambda numbers: [numbers[0] + 1, *numbers[1:]], "episode 0 has length 15, and its bounds hold 14"),
    ],
)
def test_episodes_that_are_numbered_otherwise_are_found(copy: Path, name: str, change: Any, said: str) -> None:
    edit_table(copy / EPISODES, column(name, change))
    (fault,) = bound_faults(read_description(copy))
    assert said in fault.message


def test_a_feature_that_the_tables_call_otherwise_is_found(copy: Path, whole: Path) -> None:
    assert list(column_faults(read_description(whole))) == []
    (file,) = copy.glob("data/*/*.parquet")
    names = pq.read_table(file).column_names
    edit_table(file, lambda table: table.rename_columns([name.replace("image2", "wrist") for name in names]))
    (fault,) = column_faults(read_description(copy))
    assert fault.where == file.relative_to(copy).as_posix()
    assert "no column observation.images.image2; it has observation.images.wrist, which" in fault.message


def test_frames_of_another_episode_are_found(copy: Path) -> None:
    (file,) = copy.glob("data/*/*.parquet")
    edit_table(file, column("episode_index", lambda numbers: [1, *numbers[1:]]))
    (fault,) = frame_faults(read_description(copy))
    assert "frames of episode 0 in it say episode_index 1" in fault.message


def test_frames_that_are_not_counted_from_0_are_found(copy: Path) -> None:
    (file,) = copy.glob("data/*/*.parquet")
    edit_table(file, column("frame_index", lambda numbers: [number + 1 for number in numbers]))
    (fault,) = frame_faults(read_description(copy))
    assert "frame_index of episode 0 in it does not count from 0 to 13" in fault.message


def timed(table: pa.Table, change: Callable[[Any], Any]) -> pa.Table:
    at = table.column_names.index("timestamp")
    return table.set_column(at, "timestamp", pa.array(change(table["timestamp"].to_numpy()), pa.float32()))


@pytest.mark.parametrize(("said", "is_"), [(20, 10), (5, 10), (30, 10)])
def test_a_rate_that_the_frames_do_not_have_is_found(copy: Path, said: int, is_: int) -> None:
    info(copy, fps=said)
    (fault,) = frame_faults(read_description(copy))
    assert fault.where == INFO
    assert f"fps is {said}" in fault.message
    assert f"{is_} per second" in fault.message


def test_a_frame_that_is_late_is_found(copy: Path) -> None:
    def late(times: Any) -> Any:
        return np.where(np.arange(len(times)) == 18, times + 0.3, times)

    edit_table(copy / DATA, lambda table: timed(table, late))
    (fault,) = frame_faults(read_description(copy))
    assert fault.where == DATA
    assert "frame 4 of episode 1" in fault.message


def test_an_episode_without_frames_is_found(copy: Path) -> None:
    def emptied(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[1]["dataset_to_index"] = rows[1]["dataset_from_index"]
        return pa.Table.from_pylist(rows, table.schema)

    edit_table(copy / EPISODES, emptied)
    (fault,) = bound_faults(read_description(copy))
    assert "episode 1 has no frames" in fault.message


sizes = st.integers(8, 2000)
channel_names = st.sampled_from(["channel", "channels", "rgb", "color", "c"])


@settings(deadline=None)
@given(sizes, sizes, st.sampled_from([1, 3, 4]), st.booleans(), st.booleans(), channel_names)
def test_a_pictures_size_is_in_its_shape_whatever_its_names(
    height: int, width: int, channels: int, last: bool, named: bool, channel: str
) -> None:
    shape = [height, width, channels] if last else [channels, height, width]
    names = (["height", "width", channel] if last else [channel, "height", "width"]) if named else None
    features = {"picture": {"dtype": "image", "shape": shape, "names": names}, "action": {"dtype": "float32"}}
    assert picture_sizes(features) == {"picture": (height, width)}
    plain = plain_pictures(features)
    assert picture_sizes(plain) == {"picture": (height, width)}
    assert plain_pictures(plain) == plain
    assert plain["action"] is features["action"]


@pytest.mark.parametrize(("names", "shape"), product([None, ["height", "width", "rgb"]], [[64, 48, 3], [3, 64, 48]]))
def test_lerobot_reads_the_plain_description(names: Any, shape: list[int]) -> None:
    from lerobot.utils.feature_utils import dataset_to_policy_features

    features = plain_pictures({"observation.images.image": {"dtype": "image", "shape": shape, "names": names}})
    read = dataset_to_policy_features(json.loads(json.dumps(features)))
    assert tuple(read["observation.images.image"].shape) == (3, 64, 48)


def test_no_picture_has_such_a_shape() -> None:
    with pytest.raises(ValueError, match="64x64x64"):
        picture_sizes({"picture": {"dtype": "image", "shape": [64, 64, 64]}})
