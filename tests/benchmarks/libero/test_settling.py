from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.sim_specs import sim_spec

from world_modality.benchmarks.libero import settling
from world_modality.benchmarks.libero.settling import Moved, moved, start_fault
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.facts.benchmarks import LIBERO_ACTION

BOWL = "akita_black_bowl_1"
angles = st.floats(-3.0, 3.0)


def pose(position: np.ndarray, rotation: Rotation) -> np.ndarray:
    x, y, z, w = rotation.as_quat()
    return np.array([*position, w, x, y, z])


@given(st.tuples(angles, angles, angles), st.tuples(angles, angles, angles), st.tuples(*(st.floats(-1, 1),) * 6))
def test_how_an_object_moved(first, second, places) -> None:
    """Beside rotation matrices: the tilt is that of the axis that was vertical."""
    before, after = Rotation.from_rotvec(first), Rotation.from_rotvec(second)
    one, two = np.array(places[:3]), np.array(places[3:])
    found = moved(pose(one, before), pose(two, after))
    vertical = (after * before.inv()).apply([0.0, 0.0, 1.0])
    assert found.sideways == pytest.approx(np.hypot(*(two - one)[:2]))
    assert found.upwards == pytest.approx((two - one)[2])
    assert np.cos(np.radians(found.tilt)) == pytest.approx(vertical[2], abs=1e-9)


def test_a_turn_about_the_vertical_is_no_tilt() -> None:
    spot = np.zeros(3)
    assert moved(pose(spot, Rotation.identity()), pose(spot, Rotation.from_euler("z", 1.0))).tilt < 1e-4
    assert moved(pose(spot, Rotation.identity()), pose(spot, Rotation.from_euler("x", 30, degrees=True))) == Moved(
        0.0, 0.0, pytest.approx(30.0)
    )


def test_the_bowl_seats_itself_on_the_ramekin_and_one_that_slips_off_is_told(
    original_assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libero_spatial task 5, where MuJoCo from 3.4.0 on lets it slip off: height 0.9344 m here, 0.9428 m there."""
    simulator = LiberoSimulator(sim_spec(), 5, original_assets)
    simulator.reset(3, seed=3)
    assert simulator.start_fault() == ""
    assert simulator.position(BOWL)[2] == pytest.approx(0.9344, abs=5e-4)
    settled = dict(simulator.poses())
    assert start_fault("libero_spatial", 5, simulator.placed, settled) == ""
    slipped = settled | {BOWL: settled[BOWL] + np.array([0.022, 0.0, 0.0084, 0.0, 0.0, 0.0, 0.0])}
    told = start_fault("libero_spatial", 5, simulator.placed, slipped)
    assert told.startswith(f"{BOWL} settled otherwise than in the initial states that are known ({BOWL} moved ")
    monkeypatch.setattr(settling, "version", lambda _: "3.8.1")
    told = start_fault("libero_spatial", 5, simulator.placed, slipped)
    assert told.startswith("another scene than in published evaluations, whose rates cannot be compared: ")
    assert f"{BOWL} settled otherwise than with MuJoCo 3.3.2 ({BOWL} moved " in told
    assert told.endswith("this is MuJoCo 3.8.1")
    simulator.close()


def test_a_recorded_state_that_is_known_to_settle_otherwise_is_no_fault(original_assets: Path) -> None:
    simulator = LiberoSimulator(sim_spec(), 0, original_assets)
    simulator.reset(31, seed=31)
    assert simulator.start_fault() == ""
    assert start_fault("libero_spatial", 0, simulator.placed, simulator.poses()) != ""
    simulator.close()


def test_other_settling_is_not_compared(original_assets: Path) -> None:
    spec = sim_spec().model_copy(update={"settle_steps": 2})
    simulator = LiberoSimulator(spec, 5, original_assets)
    simulator.reset(3, seed=3)
    assert simulator.start_fault() == ""
    simulator.reset(None, seed=3)
    assert simulator.placed == {}
    simulator.step(LIBERO_ACTION.no_op)
    simulator.close()
