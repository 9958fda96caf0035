"""Judging states and actions: what a suite's own data look like has no finding, and every change of unit has one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from world_modality.checks.finding import Finding
from world_modality.checks.numbers import Motion, number_findings, statistics_findings, unit_findings
from world_modality.data.schema import ACTION, STATE
from world_modality.facts.benchmarks import SUITES

SUITE = SUITES["libero_spatial"]
FRAMES, EPISODES = 120, 3
Numbers = NDArray[np.float64]


def recorded(seed: int = 0) -> Motion:
    """Made-up episodes of a hand that closes half way, and whose fingers follow."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-0.9, 0.9, (FRAMES, 7))
    states = np.array([-0.2, 0.0, 1.1, 3.1, 0.0, 0.1, 0.04, -0.04]) + rng.normal(0, 0.01, (FRAMES, 8))
    steps = FRAMES // EPISODES
    closed = np.tile(np.arange(steps) >= steps // 2, EPISODES)
    actions[:, 6] = np.where(closed, 1, -1)
    width = np.where(np.tile(np.arange(steps) >= steps // 2 + 3, EPISODES), 0.0, 0.04)
    states[:, 6], states[:, 7] = width, -width
    return Motion({STATE: states, ACTION: actions}, np.arange(1, EPISODES + 1) * steps)


def changed(name: str, change: Callable[[Numbers], None], seed: int = 0) -> list[Finding]:
    motion = recorded(seed)
    change(motion.numbers[name])
    return list(number_findings(motion, SUITE))


def statistics(motion: Motion) -> dict[str, dict[str, NDArray[np.float32]]]:
    return {
        name: {kind: np.asarray(getattr(numbers, kind)(axis=0), np.float32) for kind in ("min", "max", "mean", "std")}
        for name, numbers in motion.numbers.items()
    }


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_data_in_the_suites_own_units_have_no_finding(seed: int) -> None:
    motion = recorded(seed)
    own = statistics(motion)
    assert not [*number_findings(motion, SUITE), *statistics_findings(motion, own)]
    assert not [*unit_findings(motion, own, SUITE, "policy")]


@settings(deadline=None)
@given(st.integers(0, FRAMES - 1), st.integers(0, 6), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_one_number_that_is_not_finite_is_found_with_its_place(frame: int, number: int, value: float) -> None:
    def spoil(actions: Numbers) -> None:
        actions[frame, number] = value

    (finding,) = changed(ACTION, spoil)
    assert (finding.level, finding.where) == ("error", ACTION)
    for named in (SUITE.action.names[number], f"frame {frame},", f"episode {frame * EPISODES // FRAMES};"):
        assert named in finding.message


@settings(deadline=None)
@given(st.floats(0.1, 0.45), st.floats(0.0, 1.0))
def test_another_range_of_the_gripper_is_found(scale: float, share: float) -> None:
    """Any linear map of -1..1 into itself that leaves out a quarter of one end."""
    shift = (1 - scale) * (2 * share - 1)

    def spoil(actions: Numbers) -> None:
        actions[:, 6] = scale * actions[:, 6] + shift

    (finding,) = changed(ACTION, spoil)
    assert finding.level == "error"
    assert "gripper actions lie in" in finding.message
    assert "expects -1 to 1" in finding.message


def test_a_gripper_of_the_other_sign_is_told_by_the_fingers() -> None:
    def turn(actions: Numbers) -> None:
        actions[:, 6] *= -1

    (finding,) = changed(ACTION, turn)
    assert finding.level == "error"
    assert "turn their sign" in finding.message


def test_a_few_strays_do_not_make_a_range_of_the_gripper() -> None:
    def spoil(actions: Numbers) -> None:
        actions[:, 6] = (actions[:, 6] + 1) / 2
        actions[0, 6] = -1

    (finding,) = changed(ACTION, spoil)
    assert finding.level == "error"
    assert "gripper actions lie in 0 to 1 in all but 1 of 120 frames" in finding.message


def test_a_gripper_that_closes_once_has_the_suites_range() -> None:
    def once(actions: Numbers) -> None:
        actions[:, 6] = -1
        actions[7, 6] = 1

    assert not changed(ACTION, once)


def test_an_effort_of_the_gripper_need_not_reach_both_ends() -> None:
    """MetaWorld's tasks without grasping never close the hand; LIBERO's are scaled otherwise if they do not."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-0.9, 0.9, (FRAMES, 4))
    actions[:, 3] = rng.choice([-1.0, -0.5, 0.0], FRAMES)
    motion = Motion({STATE: rng.normal(size=(FRAMES, 4)), ACTION: actions}, np.array([FRAMES]))
    assert not [*number_findings(motion, SUITES["metaworld_mt50"])]


def test_a_gripper_that_never_moves_is_a_warning() -> None:
    def keep(actions: Numbers) -> None:
        actions[:, 6] = -1

    (finding,) = changed(ACTION, keep)
    assert finding.level == "warning"


@settings(deadline=None)
@given(st.floats(1.5, 1000), st.integers(0, 5))
def test_actions_beyond_what_is_executed_are_found(factor: float, number: int) -> None:
    def scale(actions: Numbers) -> None:
        actions[:, number] *= factor

    (finding,) = changed(ACTION, scale)
    assert finding.level == "error"
    assert finding.message.startswith(SUITE.action.names[number])
    assert "clips to -1 to 1" in finding.message


def test_a_single_action_beyond_it_is_a_warning() -> None:
    def once(actions: Numbers) -> None:
        actions[3, 1] = 1.5

    (finding,) = changed(ACTION, once)
    assert finding.level == "warning"


@pytest.mark.parametrize("number", range(8))
def test_a_state_that_never_moves_is_a_warning(number: int) -> None:
    def still(states: Numbers) -> None:
        states[:, number] = states[0, number]

    (finding,) = changed(STATE, still)
    assert (finding.level, finding.where) == ("warning", STATE)
    assert SUITE.state[number] in finding.message


def test_degrees_are_told_by_the_start_policy() -> None:
    motion = recorded()
    own = statistics(motion)
    motion.numbers[STATE][:, 3:6] *= 180 / np.pi
    (finding,) = unit_findings(motion, own, SUITE, "arms.E0.policy")
    assert finding.level == "error"
    for named in ("axis_angle_x", "arms.E0.policy", "degrees"):
        assert named in finding.message


def test_what_never_moved_where_the_policy_was_trained_is_a_warning() -> None:
    motion = recorded()
    own = statistics(motion)
    own[ACTION]["std"][3:6] = 0
    (finding,) = unit_findings(motion, own, SUITE, "policy")
    assert finding.level == "warning"
    assert "roll, pitch, yaw move in the data" in finding.message


@settings(deadline=None)
@given(st.sampled_from(["min", "max", "mean"]), st.integers(0, 6), st.sampled_from([0.5, np.nan, np.inf]))
def test_statistics_of_other_frames_are_found(kind: str, number: int, more: float) -> None:
    motion = recorded()
    own = statistics(motion)
    own[ACTION][kind][number] += more
    (finding,) = statistics_findings(motion, own)
    assert (finding.level, finding.where) == ("error", "meta/stats.json")
    assert f"action: {kind} of number {number}" in finding.message


def spread(own: dict[str, NDArray[np.float32]]) -> None:
    own["std"] *= 1.2


def no_spread(own: dict[str, NDArray[np.float32]]) -> None:
    own["std"][2] = 0


def negative_spread(own: dict[str, NDArray[np.float32]]) -> None:
    own["std"] *= -1


def quantiles_in_reverse(own: dict[str, NDArray[np.float32]]) -> None:
    own["q01"], own["q99"] = own["q99"], own["q01"]


def quantile_beyond_the_frames(own: dict[str, NDArray[np.float32]]) -> None:
    own["q99"] = own["max"] + 1


def quantile_of_another_size(own: dict[str, NDArray[np.float32]]) -> None:
    own["q10"] = own["q10"][1:]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (spread, "std of number"),
        (no_spread, "std of number 2 is 0,"),
        (negative_spread, "std of number"),
        (quantiles_in_reverse, "of q01 is"),
        (quantile_beyond_the_frames, "of q99 is"),
        (quantile_of_another_size, "q10 has not 7 numbers"),
    ],
)
def test_other_deviations_and_quantiles_are_found(
    change: Callable[[dict[str, NDArray[np.float32]]], None], named: str
) -> None:
    motion = recorded()
    own = statistics(motion)
    for name, numbers in motion.numbers.items():
        own[name] |= {f"q{part:02d}": np.quantile(numbers, part / 100, axis=0) for part in (1, 10, 50, 90, 99)}
    assert not [*statistics_findings(motion, own)]
    change(own[ACTION])
    (finding,) = statistics_findings(motion, own)
    assert (finding.level, finding.where) == ("error", "meta/stats.json")
    assert finding.message.startswith("action: ")
    assert named in finding.message
