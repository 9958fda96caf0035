from collections.abc import Callable
from itertools import groupby, permutations
from typing import Any

import numpy as np
from stand_ins import STAND_INS
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.facts.benchmarks import LIBERO_ACTION


def test_objects_touch_as_robosuite_says(make_env: Callable[..., LiberoSimulator]) -> None:
    env = make_env(0)
    inner, rng, seen = env._sim_env, np.random.default_rng(0), set()
    for init_state in (0, 1):  # a reset makes other objects of the same names
        env.reset(init_state, seed=0)
        for _ in range(30):
            action = rng.uniform(-1, 1, 7)
            action[2] = -0.8  # down among the objects
            env.step(action)
            models = [*inner.objects_dict.values(), *inner.fixtures_dict.values(), inner.robots[0].gripper]
            for one, two in permutations(models, 2):
                touching = inner.check_contact(one, two)
                assert touching == type(inner).check_contact(inner, one, two)
                seen.add(touching)
    assert seen == {True, False}


def test_names_and_everything_else_are_robosuites_affair(make_env: Callable[..., LiberoSimulator]) -> None:
    env = make_env(0)
    env.reset(0, seed=0)
    inner = env._sim_env
    model = inner.objects_dict[env.objects[0]]
    for question in ((model,), (model.contact_geoms,), (model.contact_geoms[0], model)):
        assert inner.check_contact(*question) == type(inner).check_contact(inner, *question)


class TwoParts(LiberoSimulator):
    """Asks also that the stove is on."""

    def _load(self) -> Any:
        env = super()._load()
        env.parsed_problem["goal_state"].append(["turnon", "flat_stove_1"])
        return env


def test_progress_is_the_fraction_of_conjuncts_that_hold() -> None:
    env = TwoParts(sim_spec(settle_steps=0), 0, STAND_INS)
    env.reset(0, seed=0)
    sim, found = env._sim_env.sim, []

    def wait(steps: int) -> None:
        for _ in range(steps):
            step = env.step(LIBERO_ACTION.no_op)
            assert step.success == (step.progress == 1.0)
            found.append(step.progress)

    wait(2)
    sim.data.set_joint_qpos("flat_stove_1_button", 1.5)
    wait(2)
    sim.data.qpos[9:12] = env.position("plate_1") + np.array([0.0, 0.0, 0.008])
    wait(10)
    sim.data.set_joint_qpos("flat_stove_1_button", 0.0)
    wait(2)
    env.close()
    assert [progress for progress, _ in groupby(found)] == [0.0, 0.5, 1.0, 0.5]
