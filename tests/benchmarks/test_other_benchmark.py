"""A benchmark of another package goes the whole way: demonstrated, relabelled, made a dataset, rolled out, recorded on
video."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.data_stages import stage_context
from support.rows import add_row
from support.toy_world import InlinePool
from wm_extension.rows import PUCKS

from world_modality.benchmarks.contract import open_simulator
from world_modality.data import dataset, demonstrations
from world_modality.data.dataset import PROVENANCE
from world_modality.data.episode_file import read_episode
from world_modality.data.recording import record
from world_modality.data.relabel import BlockDriver
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.contract import PolicyRequest
from world_modality.rollout.cell import Cell
from world_modality.rollout.episodes import Episode, environment_seed
from world_modality.rollout.evaluation import Scenes
from world_modality.rollout.pool import preloaded
from world_modality.rollout.records import Ledger, Record
from world_modality.rollout.scheduler import Scheduler
from world_modality.rollout.video import record_video
from world_modality.store.progress import Progress
from world_modality.study.specs import DatasetSpec, DemosSpec, SimSpec

SIM = SimSpec(suite="pucks", assets="", assets_digest="", camera_size=48, render="stock", settle_steps=4)
CELL = Cell(PUCKS, SIM, "disabled", 5, 160, "c" * 16, "disabled", "cpu", {"mujoco": "1"})


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        add_row(SUITES, PUCKS, patch, "wm-extension")
        yield


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demos")
    spec = DemosSpec(sim=SIM, task=1, episodes=2, init_states=(400, 7), seed=0, noise=1.0, max_steps=160)
    demonstrations.run(spec, stage_context(root))
    return root / "artifact"


def test_demonstrations_have_the_suites_columns(demonstrated: Path) -> None:
    for number, init_state in enumerate((400, 7)):  # of which there are any number
        episode = read_episode(demonstrated / "episodes" / f"episode_{number:05d}.parquet")
        assert (episode.info.suite, episode.info.init_state, episode.info.success) == ("pucks", init_state, True)
        assert episode.info.language == "push the red and the blue puck over the line"
        assert list(episode.pictures) == ["top", "side"]
        assert episode.state.shape == episode.action.shape == (episode.info.steps, 3)


def test_a_dataset_is_described_by_the_row(demonstrated: Path, tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    context = stage_context(tmp_path, demos=demonstrated)
    facts = dataset.run(DatasetSpec(source="scripted", repo_id="local/pucks", revision="", fps=PUCKS.fps), context)
    assert (facts["episodes"], facts["fps"]) == (2, 20)
    info = json.loads((context.artifact / "meta" / "info.json").read_text())
    picture = {"dtype": "image", "shape": [48, 48, 3], "names": ["height", "width", "channel"], "fps": 20.0}
    numbers = {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"], "fps": 20.0}
    assert {name: info["features"][name] for name in list(info["features"])[:4]} == {
        "observation.images.top": picture,
        "observation.images.side": picture,
        "observation.state": numbers,
        "action": numbers,
    }
    assert (info["robot_type"], info["fps"]) == ("pusher", 20)
    item = LeRobotDataset("local/x", root=context.artifact, video_backend="pyav")[0]
    assert item["observation.images.side"].shape == (3, 48, 48)
    assert (context.artifact / PROVENANCE).is_file()


def test_suites_of_different_robots_make_no_common_dataset(demonstrated: Path, tmp_path: Path) -> None:
    from support.data_stages import drawn_episode

    from world_modality.data.writer import EpisodeWriter

    ours = read_episode(demonstrated / "episodes" / "episode_00000.parquet")
    with EpisodeWriter(tmp_path / "both", "local/both", 20) as writer:
        writer.add(ours)
        with pytest.raises(UserError, match="pucks and libero_spatial differ in cameras"):
            writer.add(drawn_episode(3, size=48))


def test_a_policy_drives_with_the_experts_labels() -> None:
    """An action without a gripper: all of it is the policy's, clipped to the suite's range."""
    with closing(open_simulator(SIM, 0, None)) as simulator:
        simulator.reset(None, 3)
        expert = PUCKS.expert.load()(simulator, np.random.default_rng(0), None) if PUCKS.expert else None
        executed = []

        def predict(_: object, block: int) -> np.ndarray:
            return np.full((4, 3), 0.02 * (-1) ** block * 9, np.float32)

        rng = np.random.default_rng(0)
        driver = BlockDriver(expert, predict, PUCKS.action, policy_share=1.0, block_steps=4, rng=rng)

        def watched(seen: Any) -> Any:
            executed.append(driver(seen))
            return executed[-1]

        recording = record(simulator, watched, 12)
    assert len(recording) == 12
    assert recording.labels.shape == (12, 3)
    for number, decision in enumerate(executed):
        assert np.allclose(decision.executed, PUCKS.action.high * (-1) ** (number // 4))
        assert not np.array_equal(decision.label, decision.executed)


class Guided:
    """A planner that pushes as the expert of a simulator of its own would, told by the seed's scene."""

    batch, past_steps = 2, 0
    clock = staticmethod(time.thread_time)

    def __init__(self, push: float) -> None:
        self.push, self.seen = push, []

    def infer(self, requests: list[PolicyRequest]) -> list[np.ndarray]:
        self.seen += requests
        return [np.tile(np.float32([0.0, self.push, -9.0]), (8, 1)) for _ in requests]

    def infer_watched(self, request: PolicyRequest) -> tuple[np.ndarray, dict[str, float]]:
        return self.infer([request])[0], {}

    def trial(self, request: PolicyRequest, rows: int) -> float:
        return 0.01


def roll(folder: Path, planner: Any, cell: Cell = CELL, task: int = 1, **changes: int) -> list[Record]:
    episodes = [Episode(task, 1000, repeat) for repeat in range(2)]
    opened = partial(open_simulator, SIM, assets=None)
    with closing(Ledger(folder, episodes)) as ledger, closing(InlinePool(opened)) as pool:
        plan = Scheduler(replace(cell, **changes), ledger, planner, None, Progress("", stream=io.StringIO()), slots=2)
        plan.run(pool)  # type: ignore[arg-type]
        return [replace(ledger.done[episode], timing=None) for episode in episodes]


def test_rollouts_draw_their_scenes_from_the_seed(tmp_path: Path) -> None:
    planner = Guided(0.0)
    first, second = roll(tmp_path / "a", planner, horizon=12)
    assert [record.environment_seed for record in (first, second)] == [
        environment_seed("pucks", Episode(1, 1000, repeat)) for repeat in range(2)
    ]
    assert first.init_state_digest != second.init_state_digest
    assert (first.steps, first.success, first.progress, first.episode_return) == (12, False, 0.0, 0.0)
    assert roll(tmp_path / "b", Guided(0.0), horizon=12) == [first, second]
    request = planner.seen[0]
    assert (list(request.observation.images), request.observation.state.shape) == (["top", "side"], (3,))
    assert request.language == "push the red and the blue puck over the line"


def test_an_episode_ends_where_the_simulator_ends_it_and_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wm_extension import benchmark

    monkeypatch.setattr(benchmark, "EDGE", 0.01)  # no puck is on the table from the start
    for record_ in roll(tmp_path, Guided(0.0)):
        assert (record_.success, record_.steps, record_.progress) == (False, 1, 0.0)


def test_actions_are_clipped_to_the_rows_range_or_not_at_all(tmp_path: Path) -> None:
    free = replace(CELL, suite=replace(PUCKS, action=replace(PUCKS.action, clip=False)))
    digests = set()
    for number, cell in enumerate((CELL, free)):
        digests |= {each.trajectory_digest for each in roll(tmp_path / str(number), Guided(0.0), cell, horizon=6)}
    assert len(digests) == 4
    actions = np.float32([[0.01, 9.0, -9.0]])
    assert np.array_equal(PUCKS.action.executed(actions), np.float32([[0.01, 0.03, -0.03]]))
    assert np.array_equal(free.suite.action.executed(actions), actions)


def test_a_video_shows_the_suites_cameras_at_its_rate(tmp_path: Path) -> None:
    import av

    record_ = roll(tmp_path / "a", Guided(0.0), horizon=10)[0]
    path = record_video(record_, replace(CELL, horizon=10), Guided(0.0), None, tmp_path / "videos")
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert (stream.width, float(stream.average_rate)) == (2 * 48, 20.0)
        assert sum(1 for _ in video.decode(stream)) == 10


def test_what_its_simulator_processes_import_is_its_own_affair() -> None:
    assert not [module for module in preloaded(["pucks"]) if "libero" in module]
    assert [module for module in preloaded(["libero_10", "pucks"]) if "libero" in module]


def test_an_evaluation_takes_it_by_name() -> None:
    scenes = Scenes(("pucks",), None, 3, (5, 9))
    assert scenes.episodes_of("pucks")[:3] == (Episode(0, 5, 0), Episode(0, 9, 0), Episode(0, 5, 1))
