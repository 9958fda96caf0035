"""Control steps beside robosuite's own: the arm's controls, and all that follows from them, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero import arm as arms
from world_modality.benchmarks.libero import law
from world_modality.benchmarks.libero.arm import OperationalSpaceArm, RobosuitesArm, arm_of, follows_known_law
from world_modality.benchmarks.libero.simulator import LiberoSimulator

MakeEnv = Callable[..., LiberoSimulator]
Step = Callable[[NDArray[np.float64]], bool]


def drawn(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Actions down into the table and about, of which some turn nothing; the hand opens and closes."""
    rng = np.random.default_rng(seed)
    actions = np.clip(rng.normal(scale=0.6, size=(count, 7)), -1.2, 1.2)
    actions[::2, 2] = -1.0
    actions[::3, 3:6] = 0.0
    actions[:, 6] = np.repeat(rng.choice([-1.0, 0.0, 1.0], size=-(-count // 5)), 5)[:count]
    return actions


def our_step(env: LiberoSimulator) -> Step:
    return lambda action: env.step(action).success


def robosuites_step(env: LiberoSimulator) -> Step:
    return lambda action: bool(env._sim_env.step(action)[2])


def rows(env: LiberoSimulator, step: Step, actions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions, velocities, the solver's start, controls and success after every action."""
    found = []
    for action in actions:
        success = step(action)
        data = env._sim_env.sim.data._data
        found.append(np.concatenate((data.qpos, data.qvel, data.qacc_warmstart, data.ctrl, [success])))
    return np.stack(found)


@pytest.mark.parametrize("task", [0, 4])
def test_an_exact_step_equals_robosuites_own_bit_for_bit(make_env: MakeEnv, task: int) -> None:
    env = make_env(task, exact=True)
    env.reset(0, seed=0)
    sensed = np.array(env._sim_env.sim.data.sensordata)
    start, actions = env.snapshot(), drawn(25, seed=task)
    ours = rows(env, our_step(env), actions)
    assert np.array_equal(env._sim_env.sim.data.sensordata, sensed)  # sensors are left out of ours ...
    env.restore(start)
    env._sim_env.sim.model._model.opt.disableflags = 0  # ... and decide nothing
    assert np.array_equal(rows(env, robosuites_step(env), actions), ours)
    assert not np.array_equal(env._sim_env.sim.data.sensordata, sensed)
    assert np.ptp(ours[:, -3:-1]) > 0.03  # the fingers moved
    env.restore(start)
    for number, action in enumerate(actions[:6]):  # each goes on from where the other one stopped
        row = rows(env, (our_step, robosuites_step)[number % 2](env), action[None])
        assert np.array_equal(row[0], ours[number])


def test_so_do_the_first_steps_after_a_reset(make_env: MakeEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env(0, exact=True)  # robosuite's controller then goes by the pose before the initial state was set
    monkeypatch.setattr(env, "spec", env.spec.model_copy(update={"settle_steps": 0}))
    found = []
    for step in (our_step(env), robosuites_step(env)):
        env.reset(7, seed=0)
        found.append(rows(env, step, drawn(3)))
    assert np.array_equal(*found)


@pytest.mark.parametrize("suite", ["libero_object", "libero_goal", "libero_10"])
def test_so_it_does_in_other_suites(original_assets: Path, suite: str) -> None:
    spec = sim_spec(exact=True).model_copy(update={"suite": suite})
    env = LiberoSimulator(spec, 0, original_assets)
    env.reset(3, seed=1)
    start = env.snapshot()
    ours = rows(env, our_step(env), drawn(15))
    env.restore(start)
    assert np.array_equal(rows(env, robosuites_step(env), drawn(15)), ours)
    env.close()


def test_a_quick_step_differs_in_the_last_bits_alone_while_nothing_is_held(make_env: MakeEnv) -> None:
    env = make_env(0, exact=False)
    env.reset(0, seed=0)
    differences = []
    for action in drawn(12):
        moment = env.snapshot()
        env._sim_env.step(action)
        theirs = env.qpos()
        env.restore(moment)
        env.step(action)
        differences.append(np.abs(env.qpos() - theirs).max())
    assert 0 < np.median(differences) < 1e-12


@pytest.mark.parametrize(
    ("name", "value"),
    [("uncoupling", False), ("impedance_mode", "variable_kp"), ("position_limits", np.array([[-1.0] * 3, [1.0] * 3]))],
)
def test_another_law_is_left_to_robosuite(make_env: MakeEnv, name: str, value: Any) -> None:
    env = make_env(0)
    env.reset(0, seed=0)
    controller = env._sim_env.robots[0].controller
    assert isinstance(arm_of(env._sim_env), OperationalSpaceArm)
    own = getattr(controller, name)
    setattr(controller, name, value)
    assert not follows_known_law(env._sim_env)
    assert isinstance(arm_of(env._sim_env), RobosuitesArm)
    setattr(controller, name, own)


def test_a_step_that_robosuite_drives_equals_its_own_too(make_env: MakeEnv) -> None:
    env = make_env(0, exact=True)
    env.reset(0, seed=0)
    env._sim_env.robots[0].controller.uncoupling = False
    env._arm = arm_of(env._sim_env)
    start, actions = env.snapshot(), drawn(4)
    ours = rows(env, our_step(env), actions)
    env.restore(start)
    assert isinstance(env._arm, RobosuitesArm)
    assert np.array_equal(rows(env, robosuites_step(env), actions), ours)


def test_a_compiled_law_that_rounds_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def rounds_otherwise(*arguments: Any) -> None:
        law.write_controls(*arguments)
        torques = arguments[-2]
        torques[3] = np.nextafter(torques[3], np.inf)

    monkeypatch.setattr(arms, "_LAWS", [])
    assert arms.fastest_law() is law.compiled
    monkeypatch.setattr(arms, "_LAWS", [])
    monkeypatch.setattr(law, "compiled", rounds_otherwise)
    assert arms.fastest_law() is law.write_controls


def test_an_action_of_another_width_is_refused(make_env: MakeEnv) -> None:
    env = make_env(0)
    env.reset(0, seed=0)
    with pytest.raises(ValueError, match="7 numbers"):
        env.step(np.zeros(6))
