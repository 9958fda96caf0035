import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from world_modality.benchmarks.libero.expert.boxes import Boxes, about_z, half_turn, rectangle, rotation_vector
from world_modality.benchmarks.libero.expert.carrying import shared
from world_modality.benchmarks.libero.expert.motion import tallest, way_out
from world_modality.benchmarks.libero.expert.scene import Region

ANGLES = st.floats(-3.0, 3.0)


def box(center, half, turn: float = 0.0) -> Boxes:
    return Boxes(np.array([center], float), about_z(turn)[None], np.array([half], float))


@given(ANGLES)
def test_points_fill_a_turned_box_and_nothing_else(turn: float) -> None:
    turned = box((0.3, -0.1, 1.0), (0.04, 0.02, 0.01), turn)
    points = turned.points(0.01)
    assert turned.contain(points, 1e-9).all()
    low, high = turned.bounds
    assert np.allclose(points.min(axis=0), low[0])
    assert np.allclose(points.max(axis=0), high[0])
    assert not turned.contain(points + np.array([0.0, 0.0, 0.021]), 0.0).any()


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(0.01, 3.0))
def test_rotation_vector_agrees_with_scipy(axis: list[float], angle: float) -> None:
    norm = np.linalg.norm(axis)
    vector = np.array(axis) / norm * angle if norm > 0.1 else np.array([angle, 0, 0])
    assert np.allclose(rotation_vector(Rotation.from_rotvec(vector).as_matrix()), vector, atol=1e-6)


def test_no_rotation_is_the_zero_vector() -> None:
    assert np.array_equal(rotation_vector(np.eye(3)), np.zeros(3))


@given(st.floats(-1.5, 1.5))
def test_the_rectangle_of_a_box_is_the_box(turn: float) -> None:
    angle, half, middle = rectangle(box((0.2, 0.5, 0.0), (0.06, 0.02, 0.01), turn).points(0.01)[:, :2])
    assert abs(half_turn(angle - turn)) < np.radians(3)
    assert half == pytest.approx([0.06, 0.02], abs=0.004)
    assert middle == pytest.approx([0.2, 0.5], abs=1e-3)


@given(ANGLES)
def test_half_a_turn_leaves_a_line_as_it_is(angle: float) -> None:
    assert -np.pi / 2 <= half_turn(angle) < np.pi / 2
    assert np.sin(half_turn(angle) - angle) == pytest.approx(0.0, abs=1e-9)


def test_only_what_stands_on_the_way_counts() -> None:
    scene = Boxes.together([box((0.5, 0.0, 0.1), (0.1, 0.1, 0.1)), box((0.5, 1.0, 0.5), (0.1, 0.1, 0.5))])
    start, end = np.array([0.0, 0.0, 0.0]), np.array([1.0, 0.0, 0.0])
    assert tallest(scene, start, end, 0.05) == pytest.approx(0.2)
    assert tallest(scene, start, end, 0.95) == pytest.approx(1.0)
    assert tallest(scene, start, np.array([0.3, 0.0, 0.0]), 0.05) == -np.inf
    assert tallest(scene, np.array([0.5, 0.9, 0]), np.array([0.5, 0.9, 0]), 0.05) == pytest.approx(1.0)


def test_things_that_share_a_region_stand_side_by_side_in_it() -> None:
    region = Region("stove", "stove_1", np.zeros(3), np.array([0.075, 0.075, 0.003]), None)
    pot = box((0, 0, 0), (0.04, 0.07, 0.07))
    offsets = [shared(region, number, 2, pot) for number in range(2)]
    assert offsets[1][0] - offsets[0][0] >= 0.08  # on the axis on which they are narrow
    assert all(abs(offset[0]) < 0.075 and offset[1] == 0 for offset in offsets)
    assert np.array_equal(shared(region, 0, 1, pot), np.zeros(3))


def test_what_is_under_a_drawer_is_moved_out_by_the_shortest_way() -> None:
    bowl, drawer = box((0.0, 0.0, 0.05), (0.05, 0.05, 0.05)), box((0.10, -0.06, 0.3), (0.07, 0.09, 0.03))
    move = way_out(bowl, drawer, 0.01)
    assert move == pytest.approx([-0.03, 0.0, 0.0])
    moved = bowl.moved(move)
    assert not way_out(moved, drawer, 0.0099).any()
    beside, below = box((0.0, 0.2, 0.3), (0.05, 0.05, 0.03)), box((0.0, 0.0, -0.1), (0.5, 0.5, 0.01))
    assert not way_out(bowl, Boxes.together([beside, below]), 0.01).any()
