"""What the environment reaches into of hf-libero and robosuite, and where it must agree with LeRobot's environment."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.contract import reach, sentence
from support.relied_on import SIMULATOR_PARTS

from world_modality.benchmarks.libero.quiet import import_libero
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.facts.benchmarks import LIBERO_ACTION, SUITES


@pytest.fixture(scope="module")
def env(make_env: Callable[..., LiberoSimulator]) -> LiberoSimulator:
    env = make_env(0)
    env.reset(0, seed=0)
    return env


@pytest.mark.parametrize("path", SIMULATOR_PARTS)
def test_its_parts_are_where_they_are_reached(env: LiberoSimulator, path: str) -> None:
    found = type(reach(env._sim_env, path)).__name__
    file = "world_modality/benchmarks/libero/simulator.py"
    assert sentence(f"the environment's {path}", SIMULATOR_PARTS[path], found, file, "hf-libero") is None


@pytest.mark.defect("B7")
def test_an_episode_starts_from_the_recorded_initial_state(
    env: LiberoSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "spec", env.spec.model_copy(update={"settle_steps": 0}))
    starts = []
    for init_state in (0, 7, 31):
        env.reset(init_state, seed=5)
        starts.append(env.qpos())
        assert np.array_equal(starts[-1], env.task.init_states[init_state][1 : 1 + len(starts[-1])])
    assert not np.array_equal(starts[0], starts[1])


def test_pictures_are_drawn_by_nobody_else(env: LiberoSimulator) -> None:
    observables = env._sim_env._observables.values()
    assert observables
    assert not any(each.is_enabled() or each.is_active() for each in observables)


def test_the_asset_folder_is_the_cached_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libero = import_libero()
    monkeypatch.setattr(libero, "_assets_path_cache", str(tmp_path))
    assert libero.get_assets_path() == str(tmp_path)


def test_episodes_are_as_long_and_settle_as_long_as_lerobots() -> None:
    import_libero()
    from lerobot.envs.libero import TASK_SUITE_MAX_STEPS, LiberoEnv, get_libero_dummy_action

    assert {suite.name: suite.horizon for suite in SUITES if suite.benchmark == "LIBERO"} == TASK_SUITE_MAX_STEPS
    assert tuple(get_libero_dummy_action()) == LIBERO_ACTION.no_op
    defaults = inspect.signature(LiberoEnv.__init__).parameters
    assert {each.settle_steps for each in SUITES if each.benchmark == "LIBERO"} == {defaults["num_steps_wait"].default}
    assert (defaults["control_freq"].default, defaults["control_mode"].default) == (20, "relative")
    assert defaults["hard_reset"].default is True
