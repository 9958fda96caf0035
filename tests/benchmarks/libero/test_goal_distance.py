"""How far goals are from holding, in a real scene on the stand-ins, beside what hf-libero's own predicates say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from stand_ins import STAND_INS
from support.sim_specs import sim_spec

from world_modality.benchmarks.contract import Measured
from world_modality.benchmarks.libero.distance import goal_distances
from world_modality.benchmarks.libero.simulator import LiberoSimulator

BOWL, PLATE = "akita_black_bowl_1", "plate_1"
STOVE, DRAWER = "flat_stove_1", "wooden_cabinet_1_top_region"
ON_PLATE = ("on", BOWL, PLATE)
Coordinate = st.floats(-0.4, 0.4, allow_nan=False)


@pytest.fixture(scope="module")
def env() -> Iterator[LiberoSimulator]:
    made = LiberoSimulator(sim_spec(settle_steps=0), 0, STAND_INS)
    made.reset(0, seed=0)
    yield made
    made.close()


def put(env: LiberoSimulator, place: NDArray[np.float64]) -> None:
    """The bowl's origin somewhere (m), without a step of the physics."""
    env._sim_env.sim.data.qpos[9:12] = place
    env._sim_env.sim.forward()


def turn(env: LiberoSimulator, joint: str, value: float) -> None:
    env._sim_env.sim.data.set_joint_qpos(joint, value)
    env._sim_env.sim.forward()


def holds(env: LiberoSimulator, *conjunct: str) -> bool:
    return bool(type(env._sim_env)._eval_predicate(env._sim_env, list(conjunct)))


def far(env: LiberoSimulator, *conjunct: str) -> float:
    ((name, distance),) = goal_distances(env._sim_env, [conjunct]).items()
    assert name == " ".join(conjunct)
    return distance


def test_a_simulator_of_libero_is_measured(env: LiberoSimulator) -> None:
    assert isinstance(env, Measured)
    put(env, env.position(PLATE) + np.array([0.3, 0.0, 0.4]))
    assert env.goal_distances() == pytest.approx({"on akita_black_bowl_1 plate_1": 0.5})


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(aside=st.tuples(Coordinate, Coordinate), height=st.floats(0.3, 0.6))
def test_what_is_put_on_a_thing_is_as_far_as_their_origins(
    env: LiberoSimulator, aside: tuple[float, float], height: float
) -> None:
    put(env, env.position(PLATE) + np.array([*aside, height]))
    assert not holds(env, *ON_PLATE)
    assert far(env, *ON_PLATE) == pytest.approx(np.linalg.norm([*aside, height]))


@pytest.mark.parametrize("predicate", ["in", "on"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(offset=st.tuples(Coordinate, Coordinate, Coordinate))
def test_a_region_is_as_far_as_its_box(
    env: LiberoSimulator, predicate: str, offset: tuple[float, float, float]
) -> None:
    """0 wherever the predicate holds; never more than the way to the middle; and a step towards it is no way away."""
    conjunct = (predicate, BOWL, DRAWER)
    middle = np.array(env._sim_env.sim.data.get_site_xpos(DRAWER))
    put(env, middle + np.array(offset))
    distance = far(env, *conjunct)
    if holds(env, *conjunct):
        assert distance == 0.0
    above = 0.10 + float(np.max(env._sim_env.object_sites_dict[DRAWER].size))  # where on a region is, in its upper part
    assert 0.0 <= distance <= np.linalg.norm(offset) + above
    put(env, middle + 0.9 * np.array(offset))
    assert far(env, *conjunct) <= distance + (0.0 if predicate == "in" else 0.1 * abs(offset[2]) + 1e-9)


def test_inside_the_box_nothing_is_left(env: LiberoSimulator) -> None:
    middle = np.array(env._sim_env.sim.data.get_site_xpos(DRAWER))
    put(env, middle)
    assert holds(env, "in", BOWL, DRAWER)
    assert far(env, "in", BOWL, DRAWER) == 0.0
    half = np.abs(
        np.array(env._sim_env.sim.data.get_site_xmat(DRAWER)).reshape(3, 3)
        @ np.asarray(env._sim_env.object_sites_dict[DRAWER].size)
    )
    put(env, middle + np.array([half[0] + 0.2, 0.0, 0.0]))
    assert far(env, "in", BOWL, DRAWER) == pytest.approx(0.2)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.floats(0.0, 2.0))
def test_a_knob_has_a_share_of_its_way_left(env: LiberoSimulator, value: float) -> None:
    turn(env, "flat_stove_1_button", value)
    on, off = far(env, "turnon", STOVE), far(env, "turnoff", STOVE)
    assert on == pytest.approx(max(0.0, 0.5 - value) / 0.5)
    assert (on == 0.0) == holds(env, "turnon", STOVE)
    assert (off == 0.0) == (holds(env, "turnoff", STOVE) or value == 0.0)
    assert off == pytest.approx(value / 0.5)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(opened=st.floats(0.0, 0.16))
def test_a_drawer_has_a_share_of_its_way_left(env: LiberoSimulator, opened: float) -> None:
    turn(env, "wooden_cabinet_1_top_level", -opened)
    wide, shut = far(env, "open", DRAWER), far(env, "close", DRAWER)
    assert wide == pytest.approx(max(0.0, 0.14 - opened) / 0.14)
    assert shut == pytest.approx(opened / 0.14)
    if holds(env, "open", DRAWER):
        assert wide == 0.0


def test_a_goal_of_several_parts_tells_each_and_what_is_unknown_all(env: LiberoSimulator) -> None:
    both = goal_distances(env._sim_env, [ON_PLATE, ("turnon", STOVE)])
    assert list(both) == ["on akita_black_bowl_1 plate_1", "turnon flat_stove_1"]
    assert goal_distances(env._sim_env, [ON_PLATE, ("incontact", BOWL, PLATE)]) == {}
    assert goal_distances(env._sim_env, [("open", BOWL)]) == {}  # nothing to open


def test_asking_changes_nothing_of_what_follows(make_env: Callable[..., LiberoSimulator]) -> None:
    env, rng = make_env(0), np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (6, 7))
    found: list[Any] = []
    for asks in (False, True):
        env.reset(1, seed=3)
        steps = []
        for action in actions:
            told = [env.goal_distances() for _ in range(2)] if asks else []
            assert not told or told[0] == told[1]
            steps.append(env.step(action))
        found.append((steps, env.qpos().tobytes(), env.state().tobytes()))
    assert found[0] == found[1]
