"""LIBERO-PRO's suites: what their files change, and that they load."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from world_modality.benchmarks.assets import asset_tree
from world_modality.benchmarks.contract import open_assets, open_simulator
from world_modality.benchmarks.libero.perturbed import LIKE, _variant, register_objects
from world_modality.benchmarks.libero.quiet import import_libero, silenced
from world_modality.benchmarks.libero.settling import CALM, collision_fault
from world_modality.benchmarks.libero.tasks import instructions, language_of, load_task
from world_modality.facts.benchmarks import SUITES
from world_modality.study.specs import SimSpec

PERTURBED = [suite.name for suite in SUITES if suite.perturbs]
PLACEMENT = {"regions", "initial_state"}
LANGUAGE = {"language_instruction"}


@cache
def parsed(path: Path) -> Mapping[str, Any]:
    import_libero()
    from libero.libero.envs.bddl_utils import robosuite_parse_problem

    with silenced():
        found: Mapping[str, Any] = robosuite_parse_problem(str(path))
    return found


def differences(suite: str) -> list[set[str]]:
    """Per task, the parts of the parsed BDDL that are others than in the task that it perturbs."""
    base = SUITES[suite].perturbs
    assert base is not None
    pairs = [
        (parsed(load_task(suite, index).bddl), parsed(load_task(base, index).bddl))
        for index in range(SUITES[suite].tasks)
    ]
    return [{part for part in {*one, *other} if one.get(part) != other.get(part)} for one, other in pairs]


def test_there_are_sixteen_suites_with_the_facts_of_their_own() -> None:
    assert len(PERTURBED) == 16
    for name in PERTURBED:
        suite = SUITES[name]
        base = SUITES[suite.perturbs or ""]
        assert (suite.tasks, suite.horizon, suite.init_states) == (10, base.horizon, 50)
        assert suite.perturbation


@pytest.mark.parametrize("suite", [name for name in PERTURBED if name.endswith("_lan")])
def test_lan_changes_the_prompt_and_nothing_else(suite: str) -> None:
    assert differences(suite) == [LANGUAGE] * 10


@pytest.mark.parametrize("suite", [name for name in PERTURBED if name.endswith("_swap")])
def test_swap_changes_the_placement_and_nothing_else(suite: str) -> None:
    for found in differences(suite):
        assert found
        assert found <= PLACEMENT


@pytest.mark.parametrize("suite", PERTURBED)
def test_the_prompt_is_that_of_the_file_and_recorded_states_are_there(suite: str) -> None:
    told = instructions(suite)
    assert sorted(told) == list(range(10))
    for index, text in told.items():
        task = load_task(suite, index)
        assert task.language == text == " ".join(parsed(task.bddl)["language_instruction"])
        assert text == language_of(task.bddl)
        assert task.init_states.shape[0] == 50
        assert task.init_states.dtype == np.float64


def test_exactly_the_objects_that_hf_libero_lacks_are_made_here() -> None:
    import_libero()
    from libero.libero.envs.base_object import OBJECTS_DICT

    register_objects()
    register_objects()
    asked = {
        category
        for suite in PERTURBED
        for index in range(10)
        for part in ("objects", "fixtures")
        for category in parsed(load_task(suite, index).bddl)[part]
    }
    places = {"table", "kitchen_table", "living_room_table", "study_table", "floor", "main_table", "coffee_table"}
    assert asked - set(OBJECTS_DICT) <= places
    assert set(LIKE) <= asked
    assert {OBJECTS_DICT[category].__module__ for category in LIKE} == {_variant.__module__}


def test_a_task_with_new_objects_is_played() -> None:
    suite = "libero_goal_object"
    tree = asset_tree(suite)
    assert tree is not None
    spec = SimSpec(
        suite=suite,
        assets="package",
        assets_digest=tree.digest("package"),
        camera_size=64,
        render="fast",
        settle_steps=1,
    )
    with closing(open_simulator(spec, 7, open_assets(spec))) as simulator:
        simulator.reset(3, seed=1)
        assert {"yellow_stove_1", "yellow_cabinet_1"} & set(simulator.poses())
        assert simulator.observe().images["image"].std() > 5
        step = simulator.step(SUITES[suite].action.no_op)
        assert (step.success, step.progress) == (False, 0.0)


def test_other_tasks_are_another_digest() -> None:
    base, perturbed = asset_tree("libero_goal"), asset_tree("libero_goal_lan")
    assert base is not None
    assert perturbed is not None
    assert base.digest("package") != perturbed.digest("package")


def test_a_scene_that_collides_is_told() -> None:
    assert collision_fault(CALM) == ""
    assert collision_fault(38.2).startswith("objects collided while the scene settled (speeds up to 38 m/s or rad/s): ")
