"""An environment of LeRobot's is a simulator by its row: MetaWorld that way is the MetaWorld of our own room."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from support.rows import add_row
from wm_extension.lerobot_rows import REACH, REACH_ENV, SO101, SO101_ENV

from world_modality.benchmarks.contract import open_simulator
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.benchmarks.lerobot_env.opengl import share_opengl
from world_modality.benchmarks.lerobot_env.simulator import LeRobotSimulator
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.study.specs import SimSpec

choose_opengl()
CAMERA = "observation.image"
NATIVE_REACH = 40
MOVE = np.float32([0.5, -0.5, 0.3, 1.0])


def spec(suite: str, size: int = 480) -> SimSpec:
    return SimSpec(suite=suite, assets="", assets_digest="", camera_size=size, render="stock", settle_steps=0)


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        add_row(SUITES, REACH, patch, "wm-extension")
        add_row(SUITES, SO101, patch, "wm-extension")
        yield


@pytest.fixture(scope="module")
def reach() -> Iterator[LeRobotSimulator]:
    with closing(open_simulator(spec(REACH.name), 0, None)) as simulator:
        assert isinstance(simulator, LeRobotSimulator)
        yield simulator


def test_it_is_the_metaworld_of_our_own_room(reach: LeRobotSimulator) -> None:
    with closing(open_simulator(spec("metaworld_mt50"), NATIVE_REACH, None)) as native:
        assert reach.language == native.language
        for simulator in (native, reach):
            simulator.reset(None, 7)
        for _ in range(2):
            assert np.array_equal(native.render(CAMERA), reach.render(CAMERA))
            assert np.array_equal(native.observe(()).state, reach.observe(()).state)
            assert native.step(MOVE) == reach.step(MOVE)


def test_the_same_seed_is_the_same_episode_and_another_one_is_another(reach: LeRobotSimulator) -> None:
    started = []
    for seed in (5, 6, 5):
        reach.reset(None, seed)
        started.append(reach.init_state_digest)
    assert started[0] == started[2] != started[1]
    with pytest.raises(UserError, match="no recorded initial states"):
        reach.reset(3, 0)


def test_what_the_environment_does_not_have_is_said(reach: LeRobotSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    reach.reset(None, 1)
    monkeypatch.setattr(reach, "_told", replace(REACH_ENV, success="succeed", state=("joints",)))
    with pytest.raises(UserError, match=r"tells no 'succeed' at a step, but .*is_success.*: name its key as success"):
        reach.step(MOVE)
    with pytest.raises(UserError, match="shows no joints, but pixels, agent_pos"):
        reach.observe(())


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (replace(REACH_ENV, type="unheard"), "'unheard' is not registered"),
        (replace(REACH_ENV, settings={"width": 64}), "unexpected keyword argument 'width'"),
        (replace(REACH_ENV, tasks=()), "names 0 tasks of LeRobot's metaworld, so none is 0"),
    ],
)
def test_an_environment_that_there_is_not_is_said(told: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        told(spec(REACH.name), 0, None)  # type: ignore[operator]


def test_a_picture_of_another_size_is_resized_and_an_environment_is_made_anew() -> None:
    with closing(REACH_ENV(spec(REACH.name, 96), 1, None)) as simulator:
        seen = []
        for _ in range(2):
            simulator.reset(None, 7)
            seen.append((simulator._env, simulator.init_state_digest, simulator.render(CAMERA)))
        assert seen[0][0] is not seen[1][0]
        assert seen[0][1] == seen[1][1]
        assert np.array_equal(seen[0][2], seen[1][2])
        assert seen[0][2].shape == (96, 96, 3)
        assert seen[0][2].std() > 5
        assert simulator.poses() == {}
    with pytest.raises(RuntimeError, match="closed"):
        simulator.step(MOVE)
    with closing(replace(REACH_ENV, anew=False)(spec(REACH.name, 96), 1, None)) as simulator:
        simulator.reset(None, 7)
        env = simulator._env
        simulator.reset(None, 7)
        assert simulator._env is env


def test_gymnasiums_viewers_leave_each_other_alone() -> None:
    import gymnasium

    share_opengl()
    first, second, third = (
        gymnasium.make(name, render_mode="rgb_array", width=64, height=64)
        for name in ("Reacher-v5", "InvertedPendulum-v5", "InvertedPendulum-v5")
    )
    for env in (first, second, third):
        env.reset(seed=0)
    right = first.render()
    assert isinstance(right, np.ndarray)
    assert right.std() > 5
    second.render()
    third.render()
    assert np.array_equal(first.render(), right)
    second.close()
    assert np.array_equal(first.render(), right)
    del second, third, env
    gc.collect()
    assert np.array_equal(first.render(), right)
    first.close()


@pytest.mark.parametrize(("suite", "env"), [(SO101, SO101_ENV), (REACH, REACH_ENV)])
def test_a_row_and_its_environment_speak_of_the_same(suite: Suite, env: object) -> None:
    assert suite.simulator.load() is env
    assert list(env.cameras) == list(suite.cameras)  # type: ignore[attr-defined]
    assert len(env.tasks) == suite.tasks  # type: ignore[attr-defined]
