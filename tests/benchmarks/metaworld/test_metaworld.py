"""MetaWorld behind the contract is LeRobot's MetaWorld: the same scenes, rewards, states and pixels."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from bench.bench_expert import Job, format_table, run_job
from support.data_stages import stage_context
from support.small_study import fixed_sources

from world_modality.benchmarks.contract import make_expert, open_simulator
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.benchmarks.metaworld.simulator import MetaWorldSimulator
from world_modality.benchmarks.metaworld.tasks import instructions, task_names
from world_modality.data import dataset, demonstrations
from world_modality.facts.benchmarks import METAWORLD_CAMERA, SUITES
from world_modality.study.graph import Graph, build_graph
from world_modality.study.load import load_study
from world_modality.study.specs import DatasetSpec, DemosSpec, SimSpec

choose_opengl()  # LeRobot imports MuJoCo
REPOSITORY = Path(__file__).parents[3]
REACH, DRAWER, PUSH, HANDLE = 40, 18, 38, 24
MOVE = np.float32([0.5, -0.5, 0.3, 1.0])


def spec(size: int = 64, render: str = "fast", suite: str = "metaworld_mt50") -> SimSpec:
    return SimSpec(suite=suite, assets="", assets_digest="", camera_size=size, render=render, settle_steps=0)


def opened(task: int, size: int = 64, render: str = "fast") -> MetaWorldSimulator:
    simulator = open_simulator(spec(size, render), task, None)
    assert isinstance(simulator, MetaWorldSimulator)
    return simulator


def planned() -> Graph:
    study = load_study(REPOSITORY / "workflow" / "studies" / "metaworld.yaml").study
    return build_graph(study, fixed_sources(study))


def lerobots_env(name: str) -> Any:
    from lerobot.envs.metaworld import MetaworldEnv

    return MetaworldEnv(task=name, obs_type="pixels_agent_pos")


@pytest.fixture
def lerobots() -> Iterator[Any]:
    with closing(lerobots_env("reach-v3")) as env:
        yield env


def test_tasks_are_lerobots() -> None:
    from lerobot.envs import metaworld

    names = task_names("metaworld_mt50")
    assert {name: number for number, name in enumerate(names)} == metaworld.TASK_NAME_TO_ID
    assert [*instructions("metaworld_mt50").values()] == [metaworld.TASK_DESCRIPTIONS[name] for name in names]
    for group, tasks in metaworld.DIFFICULTY_TO_TASKS.items():
        assert list(task_names(f"metaworld_{group}")) == tasks
    ours = [suite for suite in SUITES if suite.benchmark == "MetaWorld"]
    assert len(ours) == 1 + len(metaworld.DIFFICULTY_TO_TASKS)
    for suite in ours:
        assert suite.tasks == len(task_names(suite.name))


def test_pixels_state_and_success_are_those_of_lerobots_environment(lerobots: Any) -> None:
    with closing(opened(REACH, 480, "stock")) as simulator:
        simulator.reset(None, 5)
        simulator.reset(None, 7)
        theirs, _ = lerobots.reset(seed=7)
        for step in range(2):
            seen = simulator.observe()
            assert np.array_equal(seen.images[METAWORLD_CAMERA], theirs["pixels"])
            assert np.array_equal(seen.state, theirs["agent_pos"].astype(np.float32))
            if not step:
                theirs, reward, _, _, info = lerobots.step(MOVE)
                ours = simulator.step(MOVE)
                assert (ours.reward, ours.success) == (reward, info["is_success"])


@pytest.mark.slow
@pytest.mark.parametrize("task", range(50), ids=lambda task: task_names("metaworld_mt50")[task])
def test_every_task_moves_as_in_lerobots_environment(task: int) -> None:
    """To the last bit, from one seed on, for 40 random actions or until success, where LeRobot's resets itself."""
    seed, steps = 7, 40
    actions = np.random.default_rng(seed).uniform(-1, 1, (steps, 4)).astype(np.float32)
    with closing(opened(task)) as simulator, closing(lerobots_env(task_names("metaworld_mt50")[task])) as theirs:
        theirs._format_raw_obs = lambda numbers: {"all": numbers.copy()}  # all 39 of them, and no picture
        simulator.reset(None, seed)
        seen, _ = theirs.reset(seed=seed)
        for action in (None, *actions):
            success = False
            if action is not None:
                seen, reward, _, _, info = theirs.step(action)
                ours = simulator.step(action)
                assert (ours.reward, ours.success) == (reward, info["is_success"])
                success = ours.success
            if success:
                break
            assert np.array_equal(simulator.raw(), seen["all"])
            for name in ("qpos", "qvel"):
                assert np.array_equal(getattr(simulator._env.data, name), getattr(theirs._env.data, name))


def test_a_demonstrations_dataset_has_the_public_ones_columns_and_rate(tmp_path: Path) -> None:
    """As the card of lerobot/metaworld_mt50 has them, but for the names of numbers, which are ours."""
    demo = DemosSpec(sim=spec(96), task=HANDLE, episodes=1, init_states=(1,), seed=0, noise=1.0, max_steps=200)
    demonstrations.run(demo, stage_context(tmp_path / "demos"))
    request, *_ = planned().of("dataset")
    assert isinstance(request.spec, DatasetSpec)
    context = stage_context(tmp_path / "dataset", demos=tmp_path / "demos" / "artifact")
    dataset.run(request.spec, context)
    info = json.loads((context.artifact / "meta" / "info.json").read_text())
    numbers = {"dtype": "float32", "shape": [4], "names": ["x", "y", "z", "gripper"], "fps": 80.0}
    assert list(info["features"].items())[:3] == [
        (
            "observation.image",
            {"dtype": "image", "shape": [96, 96, 3], "names": ["height", "width", "channel"], "fps": 80.0},
        ),
        ("observation.state", numbers),
        ("action", numbers),
    ]
    assert (info["fps"], info["robot_type"]) == (80, "sawyer")
    (path,) = (context.artifact / "data").rglob("*.parquet")
    times = pq.read_table(path).column("timestamp").to_numpy()
    assert np.allclose(np.diff(times), 1 / 80)


def test_the_rate_is_the_simulators_and_lerobots(lerobots: Any) -> None:
    suite = SUITES["metaworld_mt50"]
    with closing(opened(REACH)) as simulator:
        assert simulator._env.dt == pytest.approx(1 / suite.control_rate)
    assert suite.fps == suite.control_rate == lerobots.metadata["render_fps"]


def test_numbers_of_state_and_action_are_named_in_their_order() -> None:
    suite = SUITES["metaworld_mt50"]
    with closing(opened(REACH)) as simulator:
        for name in suite.action.names:
            simulator.reset(None, 3)
            before = simulator.observe(()).state
            action = np.float32(suite.action.no_op)
            action[suite.action.names.index(name)] = 1.0
            for _ in range(8):
                simulator.step(action)
            moved = simulator.observe(()).state - before
            assert suite.state[np.abs(moved).argmax()] == name
            assert moved[suite.state.index(name)] * (-1 if name == "gripper" else 1) > 0  # an opening, which closes


def test_a_second_simulator_leaves_the_first_ones_pictures_alone() -> None:
    """With MetaWorld's own renderer they are another picture once there is a second, and black once that is gone."""
    with closing(opened(DRAWER)) as first:
        first.reset(None, 3)
        right = first.render(METAWORLD_CAMERA)
        second = opened(REACH)
        second.reset(None, 3)
        assert not np.array_equal(second.render(METAWORLD_CAMERA), right)
        assert np.array_equal(first.render(METAWORLD_CAMERA), right)
        second.close()
        assert np.array_equal(first.render(METAWORLD_CAMERA), right)
        forgotten = opened(REACH)
        forgotten.reset(None, 3)
        forgotten.render(METAWORLD_CAMERA)
        del forgotten
        gc.collect()
        assert np.array_equal(first.render(METAWORLD_CAMERA), right)


def test_an_episode_goes_on_after_its_success() -> None:
    with closing(opened(REACH)) as simulator:
        simulator.reset(None, 1)
        expert = make_expert(SUITES["metaworld_mt50"], simulator, np.random.default_rng(0), None)
        outcomes = []
        for _ in range(70):
            before = simulator.observe(()).state[:3]
            outcomes.append(simulator.step(expert.act()))
            moved = np.linalg.norm(simulator.observe(()).state[:3] - before)
            assert moved < 0.03  # a reset would put the hand back, tenths of a metre
        solved = [step.success for step in outcomes]
        assert solved[-1]
        assert not solved[0]
        assert not any(step.terminated for step in outcomes)


def test_an_episode_is_longer_than_metaworlds_horizon() -> None:
    with closing(opened(PUSH)) as simulator:
        simulator.reset(None, 1)
        for _ in range(510):
            step = simulator.step(SUITES["metaworld_mt50"].action.no_op)
        assert not step.terminated


def test_the_experts_phases_are_what_its_fingers_do() -> None:
    with closing(opened(PUSH)) as simulator:
        simulator.reset(None, 2)
        expert = make_expert(SUITES["metaworld_mt50"], simulator, np.random.default_rng(0), None)
        seen = []
        for _ in range(120):
            action = expert.act()
            assert (expert.phase == "reach") == (action[3] <= 0)
            assert expert.delicate == (expert.phase == "close")
            seen.append(expert.phase)
            if simulator.step(action).success:
                break
        assert list(dict.fromkeys(seen)) == ["reach", "close", "hold"]


def test_another_process_starts_the_same_episode() -> None:
    code = (
        "from world_modality.benchmarks.contract import open_simulator\n"
        "from world_modality.study.specs import SimSpec\n"
        f"simulator = open_simulator(SimSpec.model_validate_json('''{spec().model_dump_json()}'''), {PUSH}, None)\n"
        "simulator.reset(None, 2**62)\n"
        "print(simulator.init_state_digest)\n"
    )
    with closing(opened(PUSH)) as simulator:
        for seed in (4, 2**62):
            simulator.reset(None, seed)
            simulator.step(MOVE)
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert other.stdout.strip() == simulator.init_state_digest


def test_a_studys_keys_know_metaworld_and_nothing_of_libero() -> None:
    stages = planned().stages.values()
    assert all(not {"hf-libero", "robosuite"} & request.software.keys() for request in stages)
    simulated = {request.stage for request in stages if {"metaworld", "mujoco"} <= request.software.keys()}
    assert simulated == {"demos", "rollout"}


@pytest.mark.slow
def test_the_experts_solve_at_least_98_of_100() -> None:
    """100 seconds. What MetaWorld's own policies cannot do: kick one ball, pull one stick."""
    trials = [trial for task in range(50) for trial in run_job(Job(spec(), task, (0, 1), 500, 0.0))]
    assert sum(trial.success for trial in trials) >= 98, format_table(trials)


def test_distances_are_metaworlds_own_and_come_back_with_the_moment() -> None:
    with closing(opened(PUSH)) as simulator:
        simulator.reset(None, seed=4)
        assert simulator.goal_distances() == {}  # nobody has asked MetaWorld yet
        simulator.step(MOVE)
        told = simulator.goal_distances()
        goal, thing = (simulator.poses()[name][:3] for name in ("goal", "obj"))
        assert told == pytest.approx({"goal": np.linalg.norm(goal - thing)}, abs=0.05)
        moment = simulator.snapshot()
        for _ in range(30):
            simulator.step(MOVE)
        simulator.restore(moment)
        assert simulator.goal_distances() == told


def test_the_distance_is_0_where_the_goal_holds() -> None:
    """MetaWorld's own ends at a radius."""
    with closing(opened(PUSH)) as simulator:
        simulator.reset(None, seed=4)
        expert = make_expert(SUITES["metaworld_mt50"], simulator, np.random.default_rng(0), None)
        told = []
        for _ in range(150):
            step = simulator.step(expert.act())
            told.append((step.success, simulator.goal_distances()["goal"]))
    assert any(success for success, _ in told)
    assert all((distance == 0) == success for success, distance in told)


def test_a_task_whose_distance_is_always_0_tells_none() -> None:
    told = {}
    for name in ("hammer-v3", "assembly-v3", "pick-place-v3"):
        with closing(opened(task_names("metaworld_mt50").index(name))) as simulator:
            simulator.reset(None, seed=0)
            for _ in range(3):
                simulator.step(MOVE)
            told[name] = list(simulator.goal_distances())
    assert told == {"hammer-v3": [], "assembly-v3": [], "pick-place-v3": ["goal"]}
