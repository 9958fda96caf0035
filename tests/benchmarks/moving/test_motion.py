import numpy as np
import pytest

from world_modality.benchmarks.moving.motion import Field, Motion, drawn
from world_modality.benchmarks.moving.tasks import TASKS
from world_modality.store.keys import digest_of

FIELD = Field(low=(0.1, -0.2), high=(0.3, 0.1), speeds=(0.08, 0.16))
LINE = Field(low=(0.1, -0.2), high=(0.1, 0.1), speeds=(0.1, 0.1))


@pytest.mark.parametrize("field", [FIELD, LINE])
def test_a_goal_stays_in_its_field_at_its_speed(field: Field) -> None:
    motion = drawn(field, "0123456789abcdef", seed=3)
    speed = np.linalg.norm(motion.velocity)
    assert field.speeds[0] <= speed <= field.speeds[1]
    times = np.arange(0, 20, 0.05)
    places, velocities = map(np.array, zip(*(motion.at(time) for time in times), strict=True))
    assert np.all((places >= np.array(field.low) - 1e-12) & (places <= np.array(field.high) + 1e-12))
    assert np.allclose(np.linalg.norm(velocities, axis=1), speed)
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() <= speed * 0.05 + 1e-12
    straight = np.all(velocities[1:] == velocities[:-1], axis=1)
    assert 0.5 < straight.mean() < 1  # it is thrown back now and then
    assert np.allclose(np.diff(places, axis=0)[straight], 0.05 * velocities[:-1][straight])


def test_the_seed_decides_the_way_and_the_initial_state_the_start() -> None:
    motions = [drawn(FIELD, state, seed) for state in ("a", "b") for seed in (0, 1, 0)]
    assert motions[0] == motions[2] != motions[1]
    assert motions[0].start == motions[1].start != motions[3].start
    assert motions[0].velocity == motions[3].velocity


def test_turned_round_it_goes_where_it_came_from() -> None:
    motion = drawn(FIELD, "a", 5)
    back = motion.turned_round()
    assert back.start == motion.start
    for time in (0.0, 0.7, 9.3):
        for here, there, sign in zip(motion.at(-time), back.at(time), (1, -1), strict=True):
            assert np.allclose(here, sign * there)


@pytest.mark.parametrize("time", [0.0, 1.7, 6.0])
def test_a_place_says_nothing_about_the_direction(time: float) -> None:
    """Over many episodes, at any moment: not even near a wall, where half of them come and half of them go."""
    found = [drawn(FIELD, str(seed), seed).at(time) for seed in range(2000)]
    places, velocities = (np.array(each) for each in zip(*found, strict=True))
    for axis in (0, 1):
        onwards = velocities[:, axis] > 0
        edges = np.quantile(places[:, axis], [0.25, 0.75])
        for part in (places[:, axis] < edges[0], places[:, axis] > edges[1]):
            assert 0.43 < onwards[part].mean() < 0.57  # 3 standard errors


def test_the_numbers_are_those_of_this_name() -> None:
    """Results are keyed by the suite's name: with other numbers the suite must have another name."""
    from world_modality.benchmarks.moving.tasks import HOLD_STEPS, TOLERANCE
    from world_modality.facts.benchmarks import SUITES

    assert digest_of([repr(TASKS), TOLERANCE, HOLD_STEPS, SUITES["moving"].horizon]) == "d2eeca4493af4065"
    assert isinstance(drawn(TASKS[0].field, "a", 0), Motion)
