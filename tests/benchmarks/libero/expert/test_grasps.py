import numpy as np
import pytest

from world_modality.benchmarks.libero.expert.boxes import Boxes, about_z, half_turn
from world_modality.benchmarks.libero.expert.grasp import BLOCKED, TIPS, Grasp, downward, grasps

REST = np.pi / 2
NOTHING = Boxes.together([])


def box(center, half, turn: float = 0.0) -> Boxes:
    return Boxes(np.array([center], float), about_z(turn)[None], np.array([half], float))


def bowl(radius: float = 0.05, height: float = 0.05, walls: int = 24) -> Boxes:
    """A ring of thin walls on a thin floor."""
    parts = [box((0, 0, 0.002), (radius * 0.7, radius * 0.7, 0.002))]
    for number in range(walls):
        angle = 2 * np.pi * number / walls
        center = (radius * np.cos(angle), radius * np.sin(angle), height / 2)
        parts.append(box(center, (0.001, np.pi * radius / walls, height / 2), angle))
    return Boxes.together(parts)


def best(thing: Boxes, neighbours: Boxes = NOTHING, **options) -> Grasp:
    return grasps(thing, neighbours, (thing.low + thing.high) / 2, REST, **options)[0]


def between(grasp: Grasp, point: np.ndarray) -> np.ndarray:
    """A point in the hand's frame."""
    return (point - grasp.point) @ grasp.rotation


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.2])
def test_a_box_is_gripped_across_its_narrow_side(turn: float) -> None:
    grasp = best(box((0.3, 0.1, 0.06), (0.05, 0.02, 0.06), turn))
    assert abs(half_turn(grasp.yaw - turn - np.pi / 2)) < np.radians(4)
    assert np.abs(between(grasp, np.array([0.3, 0.1, 0.06]))[:2]).max() < 0.006
    assert 0.12 - 0.024 < grasp.point[2] < 0.12


def test_a_flat_box_is_gripped_without_touching_the_ground() -> None:
    grasp = best(box((0, 0, 0.009), (0.04, 0.02, 0.009)))
    assert grasp.point[2] > TIPS


def test_what_is_too_wide_is_gripped_at_its_rim_from_inside_and_outside() -> None:
    grasp = best(bowl())
    away = np.linalg.norm(grasp.point[:2])
    assert 0.04 < away < 0.06
    radial = np.arctan2(grasp.point[1], grasp.point[0])
    assert abs(half_turn(grasp.yaw - radial)) < np.radians(12)


def test_a_wide_block_is_gripped_at_its_corners_alone() -> None:
    found = grasps(box((0, 0, 0.05), (0.06, 0.06, 0.05)), NOTHING, np.array([0, 0, 0.05]), REST)
    assert found
    assert all(np.abs(grasp.point[:2]).min() > 0.045 for grasp in found)


def test_the_rim_is_gripped_where_neighbours_leave_room() -> None:
    free = best(bowl())
    side = np.append(free.point[:2] / np.linalg.norm(free.point[:2]), 0.0)
    grasp = best(bowl(), box(0.10 * side + [0, 0, 0.05], (0.04, 0.04, 0.05)))
    assert grasp.cost < BLOCKED
    assert grasp.point[:2] @ side[:2] < 0.03


def test_walls_all_around_cost_as_much_as_they_should() -> None:
    walls = Boxes.together(
        [
            box((0.075 * x, 0.075 * y, 0.1), (0.02, 0.02, 0.1))
            for x in (-1, 0, 1)
            for y in (-1, 0, 1)
            if (x, y) != (0, 0)
        ]
    )
    assert best(box((0, 0, 0.03), (0.02, 0.02, 0.03)), walls).cost >= BLOCKED


def test_a_grip_that_failed_is_not_the_first_to_be_tried_again() -> None:
    first = best(bowl())
    second = best(bowl(), tried=[first])
    assert np.linalg.norm(first.point - second.point) > 0.01


def test_the_hand_points_down_with_its_fingers_along_the_yaw() -> None:
    rotation = downward(0.3)
    assert rotation[:, 2] == pytest.approx([0, 0, -1])
    assert rotation[:, 0] == pytest.approx([np.cos(0.3), np.sin(0.3), 0])
    assert np.linalg.det(rotation) == pytest.approx(1.0)
