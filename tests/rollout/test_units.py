import dataclasses
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.toy_world import toy_spec

from world_modality.rollout.units import Unit, environment_seed, flow_seed, units_of

indices = st.integers(0, 60)


@pytest.mark.defect("W10")
def test_units_are_every_init_state_and_repeat_in_order():
    spec = toy_spec(task=1, init_states=(7, 3, 5), repeats=2)
    assert units_of(spec) == (Unit(1, 3, 0), Unit(1, 3, 1), Unit(1, 5, 0), Unit(1, 5, 1), Unit(1, 7, 0), Unit(1, 7, 1))


def test_blocks_of_a_cell_hold_its_units_once():
    cell = units_of(toy_spec(init_states=(3, 5, 7), repeats=2))
    blocks = [
        toy_spec(init_states=states, repeats=1, first_repeat=repeat) for states in ((3, 5), (7,)) for repeat in (0, 1)
    ]
    assert sorted(unit for block in blocks for unit in units_of(block)) == list(cell)


def test_units_and_seeds_are_the_same_in_every_arm_and_mode():
    """Whatever cells may differ in (memory mode, replan rhythm, flow steps, horizon) leaves units and seeds alone."""
    plain = toy_spec()
    for changes in ({"memory": "pred"}, {"memory": "random"}, {"n_action_steps": 1}, {"num_steps": 9}, {"horizon": 7}):
        other = toy_spec(**changes)
        assert units_of(other) == units_of(plain)
    assert list(inspect.signature(environment_seed).parameters) == ["suite", "unit"]
    assert list(inspect.signature(flow_seed).parameters) == ["suite", "unit", "replan"]
    assert [field.name for field in dataclasses.fields(Unit)] == ["task", "init_state", "repeat"]


def test_suites_tasks_states_repeats_and_looks_have_seeds_of_their_own():
    first = Unit(0, 0, 0)
    others = [Unit(1, 0, 0), Unit(0, 1, 0), Unit(0, 0, 1)]
    scenes = [("libero_spatial", first), ("libero_goal", first), *(("libero_spatial", unit) for unit in others)]
    assert len({environment_seed(*scene) for scene in scenes}) == len(scenes)
    assert len({flow_seed(*scene, look) for scene in scenes for look in (0, 1)}) == 2 * len(scenes)


@given(indices, indices, indices, indices)
def test_seeds_fit_their_generators(task, init_state, repeat, replan):
    unit = Unit(task, init_state, repeat)
    assert 0 <= environment_seed("libero_spatial", unit) < 2**32
    assert 0 <= flow_seed("libero_spatial", unit, replan) < 2**63


def test_seeds_of_a_study_do_not_collide():
    units = [Unit(task, init_state, repeat) for task in range(10) for init_state in range(50) for repeat in range(4)]
    assert len({environment_seed("libero_spatial", unit) for unit in units}) >= len(units) - 2
    flows = {flow_seed("libero_spatial", unit, replan) for unit in units for replan in range(28)}
    assert len(flows) == len(units) * 28


def test_seeds_are_pinned():
    """These numbers decide which scenes and noise a study meets: changing them changes every result."""
    unit = Unit(3, 17, 1)
    assert environment_seed("libero_spatial", unit) == 1621374241
    assert flow_seed("libero_spatial", unit, 5) == 9075847364345063142
