from collections.abc import Callable
from itertools import permutations

import numpy as np

from world_modality.benchmarks.libero.simulator import LiberoSimulator


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
