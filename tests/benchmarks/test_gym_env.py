"""A simulator as a gymnasium environment: its episodes, their order, and which pictures are new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
from stand_ins import STAND_INS
from support.rows import add_row
from support.sim_specs import sim_spec
from wm_extension.rows import PUCKS

from world_modality.benchmarks.contract import make_expert
from world_modality.benchmarks.gym_env import SimulatorEnv
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.benchmarks.libero.tasks import load_task
from world_modality.facts.benchmarks import SUITES
from world_modality.study.specs import SimSpec

SPEC = SimSpec(suite="pucks", assets="", assets_digest="", camera_size=32, render="stock", settle_steps=2)
MOVE = np.float32([0.02, 0.02, 0.0])


@pytest.fixture(scope="module", autouse=True)
def installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        add_row(SUITES, PUCKS, patch, "wm-extension")
        yield


def test_an_episode_ends_when_the_task_is_solved() -> None:
    with closing(SimulatorEnv(SPEC, 0, None, pictures_every=40)) as env:
        seen, told = env.reset(seed=3)
        expert = make_expert(PUCKS, env.simulator, np.random.default_rng(0), None)
        assert (told["is_success"], env.task_description, env._max_episode_steps) == (
            False,
            env.simulator.language,
            160,
        )
        ends = []
        while not any(ends) and len(ends) < PUCKS.horizon:
            assert env.observation_space.contains(seen)
            seen, reward, ended, timed_out, told = env.step(expert.act())
            ends.append(ended)
    assert (ended, timed_out, told["is_success"], told["progress"], reward) == (True, False, True, 1.0, 1.0)


def test_scenes_follow_from_seeds() -> None:
    with closing(SimulatorEnv(SPEC, 0, None)) as env:
        started = []
        for seed in (4, None, None, 4, None):
            env.reset(seed=seed)
            started.append(env.simulator.init_state_digest)
        assert (started[0], started[1]) == (started[3], started[4])
        assert len(set(started)) == 3
        env.close()
        env.reset(seed=4)  # another simulator
        assert env.simulator.init_state_digest == started[0]


def test_pictures_between_are_those_of_before_and_the_state_is_new() -> None:
    with closing(SimulatorEnv(SPEC, 0, None)) as every, closing(SimulatorEnv(SPEC, 0, None, pictures_every=3)) as third:
        shown = [(every.reset(seed=1)[0], third.reset(seed=1)[0])]
        shown += [(every.step(MOVE)[0], third.step(MOVE)[0]) for _ in range(6)]
        assert np.array_equal(third.render(), shown[-1][1]["pixels"]["top"])
    equal = [np.array_equal(one["pixels"]["side"], other["pixels"]["side"]) for one, other in shown]
    assert equal == [True, False, False, True, False, False, True]
    assert all(np.array_equal(one["agent_pos"], other["agent_pos"]) for one, other in shown)


def test_recorded_states_come_in_lerobots_order() -> None:
    states = load_task("libero_spatial", 0)
    spec = sim_spec("fast", 16, settle_steps=0)
    with closing(SimulatorEnv(spec, 0, STAND_INS, first=48, stride=3)) as env:
        for state in (48, 1):
            env.reset(seed=0)
            assert env.simulator.init_state_digest == states.init_state_digest(state)
        assert isinstance(env.simulator, LiberoSimulator)
        env.reset(seed=0)
        assert np.array_equal(env.simulator.qpos(), states.init_states[4][1 : 1 + len(env.simulator.qpos())])


def test_without_recorded_states_the_scene_is_drawn() -> None:
    with closing(SimulatorEnv(sim_spec("fast", 16, settle_steps=0), 0, STAND_INS, recorded=False)) as env:
        env.reset(seed=0)
        known = {load_task("libero_spatial", 0).init_state_digest(state) for state in range(50)}
        assert env.simulator.init_state_digest not in known
