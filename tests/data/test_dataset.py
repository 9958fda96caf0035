"""A dataset stage's dataset: LeRobot's format, in the public dataset's conventions."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from stand_ins import STAND_INS
from support.data_stages import drawn_episode, stage_context
from support.hub_cache import COMMITS, use_hub
from support.small_study import graph_of

from world_modality.benchmarks.contract import Observation, Simulator, make_expert, simulator_spec
from world_modality.benchmarks.libero.tasks import instructions
from world_modality.data.collecting import collect_recordings
from world_modality.data.dataset import run
from world_modality.data.episode_file import write_episode
from world_modality.data.episodes import dataset_fingerprint, read_episode_table
from world_modality.data.frames import FrameReader, decode_png
from world_modality.data.hub import DATASET
from world_modality.data.recording import Decision, Recording, record
from world_modality.data.writer import SAMPLED_PICTURES
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.store.stage import StageContext
from world_modality.study.specs import DatasetSpec, DemosSpec

SCRIPTED = DatasetSpec(source="scripted", repo_id="local/libero_spatial", revision="", fps=10)
LENGTHS = (6, 8, 5)


def recorded(folder: Path, *numbers: int) -> Path:
    for place, number in enumerate(numbers):
        episode = drawn_episode(LENGTHS[number], number=number, task=f"task {number % 2}")
        write_episode(folder / "episodes" / f"episode_{place:05d}.parquet", episode)
    return folder


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    root = tmp_path_factory.mktemp("dataset")
    demos = (recorded(root / "demos0", 0), recorded(root / "demos1", 1))
    context = stage_context(root / "stage", relabel=recorded(root / "relabel", 2), demos=demos)
    assert run(SCRIPTED, context) == {"episodes": 3, "frames": 19, "tasks": 2, "fps": 10}
    return context


@pytest.mark.defect("B23")
def test_every_frame_is_where_it_belongs(scripted: StageContext) -> None:
    dataset = LeRobotDataset("local/x", root=scripted.artifact, video_backend="pyav")
    row = 0
    for number, length in enumerate(LENGTHS):
        episode = drawn_episode(length, number=number)
        for step in range(length):
            item = dataset[row]
            for camera, pictures in episode.pictures.items():
                pixels = (item[f"observation.images.{camera}"] * 255).round().byte().permute(1, 2, 0).numpy()
                assert np.array_equal(pixels, decode_png(pictures[step]))
            assert np.array_equal(item["observation.state"].numpy(), episode.state[step])
            assert np.array_equal(item["action"].numpy(), episode.action[step])
            assert item["task"] == f"task {number % 2}"
            assert (item["index"], item["episode_index"], item["frame_index"]) == (row, number, step)
            assert item["timestamp"] == pytest.approx(step / 10)
            row += 1
    assert row == len(dataset)


def begun_demonstration(root: Path) -> Path:
    """The folder of a demonstration of the scripted expert in the simulator, as a study records it, cut after three
    steps."""
    suite = SUITES["libero_spatial"]
    sim = simulator_spec(suite, str(STAND_INS), camera_size=256, render="fast")
    spec = DemosSpec(sim=sim, task=0, episodes=1, init_states=(3,), seed=0, noise=1.0, max_steps=3)

    def attempt(simulator: Simulator, seed: int) -> Recording:
        expert = make_expert(suite, simulator, np.random.default_rng(seed), spec.noise)

        def drive(_: Observation) -> Decision:
            label = expert.act()
            return Decision(label, expert.disturb(label), expert.finishing)

        return record(simulator, drive, spec.max_steps)

    context = stage_context(root)
    collect_recordings(context, spec, purpose="demo", attempt=attempt, counted="begun", doing="beginning", remedy="")
    return context.artifact


def test_the_schema_is_the_public_datasets(tmp_path: Path) -> None:
    """As meta/info.json of HuggingFaceVLA/libero at v3.0 has it; no file of that dataset can be had here."""
    (planned,) = graph_of(tmp_path).of("dataset")
    assert isinstance(planned.spec, DatasetSpec)
    context = stage_context(tmp_path / "stage", demos=begun_demonstration(tmp_path / "demos"))
    run(planned.spec, context)
    info = json.loads((context.artifact / "meta" / "info.json").read_text())
    picture = {"dtype": "image", "shape": [256, 256, 3], "names": ["height", "width", "channel"], "fps": 10.0}
    assert list(info["features"].items())[:4] == [
        ("observation.images.image", picture),
        ("observation.images.image2", picture),
        ("observation.state", {"dtype": "float32", "shape": [8], "names": ["state"], "fps": 10.0}),
        ("action", {"dtype": "float32", "shape": [7], "names": ["actions"], "fps": 10.0}),
    ]
    assert list(info["features"])[4:] == ["timestamp", "frame_index", "episode_index", "index", "task_index"]
    expected = {"codebase_version": "v3.0", "robot_type": "panda", "fps": 10, "total_episodes": 1, "total_frames": 3}
    assert expected.items() <= info.items()
    (path,) = (context.artifact / "data").rglob("*.parquet")
    assert np.allclose(pq.read_table(path).column("timestamp").to_numpy(), [0, 0.1, 0.2])


def test_tasks_are_worded_as_in_the_public_dataset(tmp_path: Path) -> None:
    suites = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
    texts = [text for suite in suites for text in instructions(suite).values()]
    assert [texts[number] for number in (0, 10, 20, 30)] == [  # as HuggingFaceVLA/libero has them
        "pick up the black bowl between the plate and the ramekin and place it on the plate",
        "pick up the alphabet soup and place it in the basket",
        "open the middle drawer of the cabinet",
        "put both the alphabet soup and the tomato sauce in the basket",
    ]
    assert len(set(texts)) == 40  # its number of tasks
    assert all(re.fullmatch("[a-z ]+", text) for text in texts)  # no name of a scene, no capital
    for number, text in enumerate(texts[-2:]):
        episode = drawn_episode(3, number=number, task=text)
        write_episode(tmp_path / "demos" / "episodes" / f"episode_{number:05d}.parquet", episode)
    context = stage_context(tmp_path / "stage", demos=tmp_path / "demos")
    run(SCRIPTED, context)
    table = pq.read_table(context.artifact / "meta" / "tasks.parquet").to_pandas()
    assert dict(zip(table.index, table["task_index"], strict=True)) == {texts[-2]: 0, texts[-1]: 1}


def test_pictures_are_not_encoded_again(scripted: StageContext) -> None:
    (path,) = (scripted.artifact / "data").rglob("*.parquet")
    stored = [cell["bytes"] for cell in pq.read_table(path).column("observation.images.image2").to_pylist()]
    assert stored == [
        png for number, length in enumerate(LENGTHS) for png in drawn_episode(length, number=number).pictures["image2"]
    ]


def test_statistics_are_those_of_the_frames(scripted: StageContext) -> None:
    stats = json.loads((scripted.artifact / "meta" / "stats.json").read_text())
    episodes = [drawn_episode(length, number=number) for number, length in enumerate(LENGTHS)]
    actions = np.concatenate([episode.action for episode in episodes]).astype(np.float64)
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(0), atol=1e-5)
    np.testing.assert_allclose(stats["action"]["std"], actions.std(0), atol=1e-4)
    pixels = np.concatenate([np.stack([decode_png(png) for png in each.pictures["image"]]) for each in episodes]) / 255
    np.testing.assert_allclose(np.ravel(stats["observation.images.image"]["mean"]), pixels.mean((0, 1, 2)), atol=0.01)
    np.testing.assert_allclose(np.ravel(stats["observation.images.image"]["std"]), pixels.std((0, 1, 2)), atol=0.02)


def test_pixel_statistics_read_a_sample(tmp_path: Path) -> None:
    """Pins what is hooked in LeRobot: the pictures that its statistics look at."""
    write_episode(tmp_path / "demos" / "episodes" / "episode_00000.parquet", drawn_episode(50, size=32))
    context = stage_context(tmp_path, demos=tmp_path / "demos")
    run(SCRIPTED, context)
    stats = json.loads((context.artifact / "meta" / "stats.json").read_text())
    assert stats["observation.images.image"]["count"] == [SAMPLED_PICTURES]
    assert stats["action"]["count"] == [50]


def test_provenance_tells_where_each_episode_came_from(scripted: StageContext) -> None:
    rows = pq.read_table(scripted.artifact / "provenance.parquet").to_pylist()
    assert [(row["episode_index"], row["origin"], row["init_state"], row["steps"]) for row in rows] == [
        (0, "demos", 0, 6),
        (1, "demos", 1, 8),
        (2, "relabel", 2, 5),
    ]


def test_assembling_again_after_an_interruption_gives_the_same_bytes(scripted: StageContext, tmp_path: Path) -> None:
    context = stage_context(tmp_path, **scripted.inputs)
    (context.work / "dataset" / "data").mkdir(parents=True)
    (context.artifact / "meta").mkdir()
    (context.artifact / "meta" / "half.json").write_text("{")
    run(SCRIPTED, context)

    def digests(root: Path) -> dict[str, str]:
        files = [path for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    assert digests(context.artifact) == digests(scripted.artifact)


def test_the_table_and_the_fingerprint(scripted: StageContext, tmp_path: Path) -> None:
    table = read_episode_table(scripted.artifact)
    assert (table.starts.tolist(), table.ends.tolist()) == ([0, 6, 14], [6, 14, 19])
    assert (table.tasks, table.fps, table.frames, len(table)) == (("task 0", "task 1", "task 0"), 10, 19, 3)
    context = stage_context(tmp_path / "one", demos=recorded(tmp_path / "demos", 0))
    run(SCRIPTED, context)
    assert dataset_fingerprint(context.artifact) != dataset_fingerprint(scripted.artifact)


def from_folder(folder: Path) -> DatasetSpec:
    """A spec as planning a study with this folder gives it."""
    return DatasetSpec(source="folder", repo_id=str(folder), revision=DATASET.digest(folder), fps=None)


def test_a_folder_is_taken_over(scripted: StageContext, tmp_path: Path) -> None:
    context = stage_context(tmp_path)
    assert run(from_folder(scripted.artifact), context)["frames"] == 19
    assert dataset_fingerprint(context.artifact) == dataset_fingerprint(scripted.artifact)


def test_a_folder_keeps_its_own_rate(tmp_path: Path) -> None:
    recorded(tmp_path / "demos", 0)
    made = stage_context(tmp_path / "made", demos=tmp_path / "demos")
    run(SCRIPTED.model_copy(update={"fps": 20}), made)
    assert run(from_folder(made.artifact), stage_context(tmp_path / "copy"))["fps"] == 20


def test_a_folder_that_changed_since_the_plan_is_refused(scripted: StageContext, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(scripted.artifact, tmp_path / "folder"))
    spec = from_folder(folder)
    (folder / "provenance.parquet").write_bytes(b"other")
    with pytest.raises(UserError, match=r"data\.path: the content of .* when the study was planned"):
        run(spec, stage_context(tmp_path / "copy"))


def test_the_planned_commit_is_taken(scripted: StageContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, name = use_hub(tmp_path / "hub", monkeypatch), "HuggingFaceVLA/libero"
    hub.add(name, COMMITS[0], scripted.artifact, repo_type="dataset", ref=None)
    hub.add(name, COMMITS[1], {"meta/info.json": "{}"}, repo_type="dataset")
    spec = DatasetSpec(source="hub", repo_id=name, revision=COMMITS[0], fps=None)
    assert run(spec, stage_context(tmp_path))["frames"] == 19


def test_nothing_to_assemble_and_no_network_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recorded episodes .* data\.demonstrations\.per_task"):
        run(SCRIPTED, stage_context(tmp_path / "a"))
    spec = DatasetSpec(source="hub", repo_id="HuggingFaceVLA/libero", revision=COMMITS[0], fps=None)
    message = (
        f"hf download HuggingFaceVLA/libero --repo-type dataset --revision {COMMITS[0]}.* set data.source to folder"
    )
    with pytest.raises(UserError, match=message):
        run(spec, stage_context(tmp_path / "b"))


def test_a_damaged_dataset_is_told(scripted: StageContext, tmp_path: Path) -> None:
    context = stage_context(tmp_path)
    run(from_folder(scripted.artifact), context)
    (data,) = (context.artifact / "data").rglob("*.parquet")
    table = pq.read_table(data)
    pq.write_table(table.slice(1), data)
    with pytest.raises(UserError, match=r"episode 0 .* does not hold frames 0 to 5 in order"):
        FrameReader(context.artifact, "image").episode(0)
    (episodes,) = (context.artifact / "meta" / "episodes").rglob("*.parquet")
    pq.write_table(pq.read_table(episodes).slice(1), episodes)
    with pytest.raises(UserError, match="do not cover its 19 frames"):
        read_episode_table(context.artifact)
