"""A dataset whose features have other names, renamed by the dataset stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from support.data_stages import stage_context
from support.hub_cache import COMMITS, use_hub
from support.tiny_dataset import TASKS, libero_features, write_dataset

from world_modality.data.consistency import frame_faults, video_faults
from world_modality.data.dataset import run
from world_modality.data.description import read_description
from world_modality.data.frames import FrameReader
from world_modality.data.hub import DATASET
from world_modality.data.renaming import plan_rename, rename_files, renamed
from world_modality.errors import UserError
from world_modality.study.specs import DatasetSpec

RENAME = (("actions", "action"), ("front", "image"), ("observation.qpos", "observation.state"), ("wrist", "image2"))
OTHER = {
    "observation.images.image": "observation.images.front",
    "observation.images.image2": "observation.images.wrist",
    "observation.state": "observation.qpos",
    "action": "actions",
}
SIZE = 32


def written(root: Path, names: dict[str, str], *, videos: bool) -> Path:
    """Two short episodes by LeRobot, under other names of the features."""
    features = libero_features(SIZE)
    for name in list(features)[:2]:
        features[name] = {**features[name], "dtype": "video" if videos else "image"}
    rng = np.random.default_rng(0)
    shades = rng.integers(0, 255, (2, SIZE, SIZE, 3), dtype=np.uint8)

    def frames(episode: int) -> Iterator[dict[str, Any]]:
        for step in range(3 + episode):
            numbers = [rng.normal(size=size).astype(np.float32) for size in (8, 7)]
            values = [shades[0] // (step + 1), shades[1] // (episode + 1), *numbers]
            named = zip(features, values, strict=True)
            yield {names.get(name, name): value for name, value in named} | {"task": TASKS[episode]}

    described = {names.get(name, name): feature for name, feature in features.items()}
    return write_dataset(root, described, map(frames, range(2)), videos=videos)


@pytest.fixture(scope="module", params=[False, True], ids=["images", "videos"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same dataset under its own and under the suite's names; not to be changed."""
    root = tmp_path_factory.mktemp("named")
    return tuple(written(root / name, names, videos=request.param) for name, names in (("own", OTHER), ("suite", {})))  # type: ignore[return-value]


def spec_of(folder: Path, rename: tuple[tuple[str, str], ...] = RENAME) -> DatasetSpec:
    return DatasetSpec(source="folder", repo_id=str(folder), revision=DATASET.digest(folder), fps=None, rename=rename)


def assert_equal_datasets(one: Path, other: Path) -> None:
    """File by file: places, descriptions, tables with what they say of their columns; nowhere another name."""
    files = [{path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} for root in (one, other)]
    assert files[0] == files[1]
    assert not [*one.rglob("*front*"), *one.rglob(".*")]
    for name in files[0]:
        ours, theirs = one / name, other / name
        if ours.suffix == ".json":
            assert json.loads(ours.read_text()) == json.loads(theirs.read_text())
        elif ours.suffix == ".parquet":
            tables = [pq.read_table(path) for path in (ours, theirs)]
            assert [marks(table) for table in tables[:1]] == [marks(table) for table in tables[1:]]
            assert tables[0].equals(tables[1])
            assert pq.ParquetFile(ours).num_row_groups == pq.ParquetFile(theirs).num_row_groups


def marks(table: Any) -> dict[bytes, Any]:
    found = {key: json.loads(value) for key, value in (table.schema.metadata or {}).items()}
    found.get(b"huggingface", {}).pop("fingerprint", None)  # of the paths that pictures were read from
    return found


def test_the_stage_makes_of_it_what_lerobot_writes_under_the_suites_names(
    both: tuple[Path, Path], tmp_path: Path
) -> None:
    own, suite = both
    context = stage_context(tmp_path)
    (context.artifact / ".renaming").mkdir()  # left by a killed attempt
    assert run(spec_of(own), context) == {"episodes": 2, "frames": 7, "tasks": 2, "fps": 10}
    assert_equal_datasets(context.artifact, suite)
    ours, theirs = (LeRobotDataset("local/x", root=root, video_backend="pyav") for root in (context.artifact, suite))
    for number in range(len(theirs)):
        item, expected = ours[number], theirs[number]
        assert item.keys() == expected.keys()
        assert all(np.array_equal(item[name], expected[name]) for name in OTHER)


def test_while_planned_it_is_read_under_the_suites_names_and_its_files_stay(both: tuple[Path, Path]) -> None:
    own, suite = both
    digest = DATASET.digest(own)
    seen, expected = renamed(read_description(own), RENAME), read_description(suite)
    assert (seen.info, seen.rows) == (expected.info, expected.rows)
    assert seen.statistics == expected.statistics
    assert seen.episode_texts() == expected.episode_texts()
    for name, numbers in expected.columns("action", "observation.state").items():
        assert np.array_equal(seen.columns(name)[name], numbers)
    for camera in ("image", "image2"):
        assert np.array_equal(FrameReader(seen, camera).episode(1), FrameReader(suite, camera).episode(1))
    assert not seen.lacking
    assert not [*frame_faults(seen), *(fault for column in seen.videos for fault in video_faults(seen, column))]
    assert DATASET.digest(own) == digest


def test_cameras_may_change_places(both: tuple[Path, Path], tmp_path: Path) -> None:
    _, suite = both
    copy = Path(shutil.copytree(suite, tmp_path / "copy"))
    rename_files(read_description(copy), (("image", "image2"), ("image2", "image")))
    for one, other in (("image", "image2"), ("image2", "image")):
        assert np.array_equal(FrameReader(copy, one).at(1, [0]), FrameReader(suite, other).at(1, [0]))
    rename_files(read_description(copy), (("image", "image2"), ("image2", "image")))
    files = [sorted(path.relative_to(root) for path in root.rglob("*")) for root in (copy, suite)]
    assert files[0] == files[1]


def test_the_hubs_own_files_stay_as_they_are(
    both: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage's files are hard links to them."""
    own, suite = both
    hub = use_hub(tmp_path / "hub", monkeypatch)
    hub.add("me/data", COMMITS[0], own, repo_type="dataset")
    before = DATASET.digest(tmp_path / "hub")
    context = stage_context(tmp_path / "stage")
    run(DatasetSpec(source="hub", repo_id="me/data", revision=COMMITS[0], fps=None, rename=RENAME), context)
    assert_equal_datasets(context.artifact, suite)
    assert DATASET.digest(tmp_path / "hub") == before


def test_what_cannot_be_renamed_is_told_with_the_studys_key(both: tuple[Path, Path], tmp_path: Path) -> None:
    own, _ = both
    with pytest.raises(UserError, match=r"^data\.rename: the dataset has no feature top"):
        run(spec_of(own, (("top", "image"),)), stage_context(tmp_path / "a"))
    cut = Path(shutil.copytree(own, tmp_path / "cut"))
    (data,) = (cut / "data").rglob("*.parquet")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"^data\.rename: .*file-000\.parquet cannot be read"):
        run(spec_of(cut), stage_context(tmp_path / "b"))


FEATURES = dict.fromkeys(["observation.images.front", "observation.images.wrist", "action", "qpos", "index"])


@pytest.mark.parametrize(
    ("rename", "told"),
    [
        ([("top", "image")], r"no feature top to be called image: .*front, .*wrist, action, qpos$"),
        ([("image", "front")], "no feature image to be called front"),
        ([("index", "image")], "no feature index"),
        ([("front", "image"), ("wrist", "observation.images.image")], r"front and .*wrist both become .*\.image:"),
        ([("front", "image"), ("observation.images.front", "image2")], r"observation\.images\.front comes twice"),
        ([("front", "wrist")], r"front becomes observation\.images\.wrist, and the dataset has"),
        ([("front", "")], "front cannot be called ''"),
        ([("front", "../image")], r"front cannot be called '\.\./image'"),
    ],
)
def test_renames_that_do_not_fit_are_told(rename: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        plan_rename(rename, FEATURES)


def test_names_may_be_whole_or_a_cameras_alone() -> None:
    whole = [("observation.images.front", "observation.images.image"), ("qpos", "observation.state")]
    assert plan_rename(whole, FEATURES) == dict(whole)
    assert plan_rename([("front", "image"), ("qpos", "observation.state")], FEATURES) == dict(whole)
