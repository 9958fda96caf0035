import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_ins import STAND_INS
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero.simulator import LiberoSimulator, axis_angle
from world_modality.benchmarks.libero.snapshot import MODEL_FIELDS
from world_modality.benchmarks.libero.view import CAMERAS
from world_modality.errors import UserError
from world_modality.facts.benchmarks import LIBERO_ACTION

MakeEnv = Callable[..., LiberoSimulator]


def random_actions(count: int, seed: int = 0) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(scale=0.5, size=(count, 7)), -1, 1).astype(np.float32)


def fingerprint(env: LiberoSimulator, pictures: bool = True) -> str:
    digest = hashlib.sha256(env.qpos().tobytes() + env.state().tobytes())
    if pictures:
        observation = env.observe()
        for camera in CAMERAS:
            digest.update(observation.images[camera].tobytes())
    return digest.hexdigest()


@pytest.mark.defect("B23")
def test_what_an_environment_tells_about_its_task(make_env: MakeEnv) -> None:
    env = make_env(0)
    assert env.language == "pick up the black bowl between the plate and the ramekin and place it on the plate"
    assert len(env.task.init_states) == 50
    digests = {env.task.init_state_digest(i) for i in range(50)}
    assert len(digests) == 50
    assert all(len(digest) == 16 for digest in digests)
    assert env.goal == (("on", "akita_black_bowl_1", "plate_1"),)
    assert set(env.fixtures) == {"wooden_cabinet_1", "flat_stove_1"}


@pytest.mark.defect("B22")
def test_observations_have_the_datasets_form(make_env: MakeEnv) -> None:
    env = make_env(0)
    env.reset(0, seed=0)
    observation = env.observe()
    assert set(observation.images) == {"image", "image2"}
    for picture in observation.images.values():
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 10
    assert observation.state.shape == (8,)
    assert observation.state.dtype == np.float32


def test_rendering_changes_neither_physics_nor_itself(make_env: MakeEnv) -> None:
    env = make_env(0)
    ends = []
    for watch in (False, True):
        env.reset(0, seed=0)
        for action in random_actions(5):
            env.step(action)
            if watch:
                first, again = env.observe(), env.observe()
                assert all(np.array_equal(first.images[c], again.images[c]) for c in CAMERAS)
        ends.append(fingerprint(env))
    assert ends[0] == ends[1]


@pytest.mark.defect("B7")
@pytest.mark.parametrize("task", [0, 4])  # task 4's drawer is where hf-libero's resets depend on their number
def test_a_reset_forgets_what_was_before(make_env: MakeEnv, task: int) -> None:
    env = make_env(task)
    env.reset(3, seed=11)
    first = fingerprint(env)
    cabinet = env.position("wooden_cabinet_1")
    for action in random_actions(8):
        env.step(action)
    env.reset(7, seed=12)
    assert not np.array_equal(env.position("wooden_cabinet_1"), cabinet)  # the seed decides what init states leave open
    np.random.random(17)
    env.reset(3, seed=11)
    assert fingerprint(env) == first


QUIET_PROGRAM = """
import logging, sys
opened = []
sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == "open" else None)
from benchmarks.libero.test_simulator import *
env = LiberoSimulator(sim_spec(), 4, STAND_INS)
env.reset(5, seed=123)
for action in random_actions(5): env.step(action)
print(fingerprint(env))
env.close()
loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict] + [logging.root]
assert not any(isinstance(handler, logging.FileHandler) for logger in loggers for handler in logger.handlers)
assert not any("robosuite.log" in name for name in opened)
"""


def test_another_process_sees_the_same_asks_nothing_and_says_nothing(make_env: MakeEnv, tmp_path: Path) -> None:
    env = make_env(4)
    env.reset(5, seed=123)
    for action in random_actions(5):
        env.step(action)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("LIBERO", "MUJOCO", "PYOPENGL", "XDG"))}
    done = subprocess.run(
        [sys.executable, "-c", QUIET_PROGRAM],
        cwd=Path(__file__).resolve().parents[2],
        env=variables | {"HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == fingerprint(env) + "\n"
    assert done.stderr == ""
    assert not (tmp_path / ".libero").exists()


def test_a_reset_changes_only_the_models_poses(make_env: MakeEnv) -> None:
    env = make_env(4)
    arrays = []
    for seed in (1, 2):
        env.reset(0, seed)
        model = env._sim_env.sim.model._model
        values = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
        arrays.append({name: value.copy() for name, value in values.items() if isinstance(value, np.ndarray)})

    def equal(name: str) -> bool:  # polygons without an area have a normal of NaN
        one, two = (each[name] for each in arrays)
        return np.array_equal(one, two, equal_nan=one.dtype.kind == "f")

    changed = {name for name in arrays[0] if not equal(name)}
    assert {"body_pos"} <= changed <= set(MODEL_FIELDS)


def test_large_seeds_are_taken(make_env: MakeEnv) -> None:
    make_env(0).reset(0, seed=2**63 - 1)


def test_success_is_reported_and_can_end(make_env: MakeEnv) -> None:
    env = make_env(0)
    env.reset(0, seed=0)
    step = env.step(LIBERO_ACTION.no_op)
    assert (step.success, step.terminated, step.reward, step.progress) == (False, False, 0.0, 0.0)
    sim, plate = env._sim_env.sim, env.position("plate_1")
    state = env.qpos()
    state[9:12] = plate + np.array([0.0, 0.0, 0.008])
    sim.data.qpos[:] = state
    steps = [env.step(LIBERO_ACTION.no_op) for _ in range(10)]
    assert any(step.success for step in steps)
    assert all(step.reward == step.progress == float(step.success) for step in steps)


@pytest.mark.defect("B7")
@pytest.mark.defect("B22")
def test_states_equal_lerobots_and_pictures_too() -> None:
    """The whole chain of LeRobot: environment, observation preprocessing, LiberoProcessorStep."""
    spec = sim_spec("stock", camera_size=256, exact=True)
    env = LiberoSimulator(spec, 0, STAND_INS)
    from lerobot.envs.libero import LiberoEnv, _get_suite
    from lerobot.envs.utils import preprocess_observation
    from lerobot.processor.env_processor import LiberoProcessorStep

    suite = _get_suite("libero_spatial")
    theirs = LiberoEnv(suite, 0, "libero_spatial", obs_type="pixels_agent_pos", episode_index=10)

    def batched(tree: dict) -> dict:
        return {key: batched(value) if isinstance(value, dict) else value[None] for key, value in tree.items()}

    def assert_equal(raw: dict) -> None:
        processed = LiberoProcessorStep().observation(preprocess_observation(batched(raw)))
        ours = env.observe()
        assert np.array_equal(processed["observation.state"][0].numpy(), ours.state)
        for camera in CAMERAS:
            picture = processed[f"observation.images.{camera}"][0].permute(1, 2, 0).numpy()
            assert np.array_equal(np.round(picture * 255).astype(np.uint8), ours.images[camera])

    env.reset(10, seed=3)
    raw, _ = theirs.reset(seed=3)
    assert_equal(raw)
    sims = (env._sim_env.sim, theirs._env.env.sim)
    glow = []
    for number, action in enumerate(random_actions(6)):
        if number == 3:
            for sim in sims:  # the stove is turned on: in which step's picture does its burner glow?
                sim.data.set_joint_qpos("flat_stove_1_button", 1.5)
        raw, *_ = theirs.step(action)
        env.step(action)
        assert_equal(raw)
        glow.append(sims[0].model.site_rgba[sims[0].model.site_name2id("flat_stove_1_burner")][3] > 0)
    assert glow == [False] * 3 + [True] * 3
    theirs.close()
    env.close()


def test_axis_angle_equals_lerobots() -> None:
    from lerobot.processor.env_processor import LiberoProcessorStep

    rng = np.random.default_rng(0)
    quaternions = rng.normal(size=(500, 4))
    quaternions[::2] = np.array([1.0, 0, 0, 0]) + 0.02 * quaternions[::2]  # the hand points down
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    for quaternion in [*quaternions, np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0, -1.0])]:
        theirs = LiberoProcessorStep()._quat2axisangle(torch.from_numpy(quaternion)[None])[0].numpy()
        assert np.array_equal(axis_angle(quaternion), theirs)


def test_fast_pictures_show_what_stock_pictures_show(make_env: MakeEnv) -> None:
    pictures = []
    for render in ("fast", "stock"):
        env = make_env(0, render)
        env.reset(0, seed=0)
        pictures.append(env.observe().images)
    for camera in CAMERAS:
        fast, stock = (p[camera].astype(float) for p in pictures)
        assert np.abs(fast - stock).mean() < 8
        assert not np.array_equal(fast, stock)


def test_unknown_suite_task_and_assets_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="libero_spatial"):
        LiberoSimulator(sim_spec().model_copy(update={"suite": "libero_moon"}), 0, STAND_INS)
    with pytest.raises(UserError, match="0 to 9"):
        LiberoSimulator(sim_spec(), 10, STAND_INS)
    with pytest.raises(UserError, match="lacks"):
        LiberoSimulator(sim_spec().model_copy(update={"suite": "libero_object"}), 0, STAND_INS)


@pytest.mark.slow
def test_a_hundred_resets_with_pictures_leak_nothing(make_env: MakeEnv) -> None:
    env = make_env(0)

    def memory() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cycle(count: int) -> None:
        for i in range(count):
            env.reset(i % 50, seed=i)
            env.observe()

    cycle(15)
    before = memory()
    cycle(100)
    assert memory() - before < 150e6  # one OpenGL context with the arm's meshes holds about 30 MB
