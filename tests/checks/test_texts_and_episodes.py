from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.checks.episodes import repetition_findings, shared_findings
from world_modality.checks.numbers import Motion
from world_modality.checks.texts import text_findings, twin_findings
from world_modality.data.schema import ACTION, STATE

ASKED: Mapping[str, str] = {"libero_spatial/0": "open the drawer", "libero_spatial/1": "close the drawer"}


def test_the_suites_own_texts_have_no_finding() -> None:
    assert not [*text_findings(["open the drawer", "close the drawer", "something else"], ASKED)]
    assert not [*twin_findings({0: "open the drawer", 1: "close the drawer"})]


def test_other_texts_are_a_warning_with_both_lists() -> None:
    (finding,) = text_findings(["fold the towel"], ASKED)
    assert finding.level == "warning"
    for named in ("'fold the towel'", "'open the drawer'", "'close the drawer'"):
        assert named in finding.message


def test_the_same_texts_written_otherwise_are_told_so() -> None:
    (finding,) = text_findings(["Open the drawer.", " CLOSE  the_drawer"], ASKED)
    assert "differ in case, spaces or full stops alone" in finding.message


def test_evaluated_tasks_without_an_episode_are_named() -> None:
    (finding,) = text_findings(["open the drawer"], ASKED)
    assert "1 of 2" in finding.message
    assert "libero_spatial/1" in finding.message


def test_without_texts_or_without_a_simulator_nothing_is_said() -> None:
    assert not [*text_findings(["", " \t"], ASKED), *text_findings(["open the drawer"], {})]


def test_several_tasks_with_one_text_are_a_warning() -> None:
    (finding,) = twin_findings({0: "open the drawer", 4: "Open the drawer", 5: "close it", 6: "", 7: ""})
    assert finding.level == "warning"
    assert "0, 4" in finding.message


def motion(lengths: list[int], twins: tuple[int, int] | None = None) -> Motion:
    rng, ends = np.random.default_rng(0), np.cumsum(lengths)
    numbers = {STATE: rng.normal(size=(ends[-1], 8)), ACTION: rng.normal(size=(ends[-1], 7))}
    if twins is not None:
        spans = [slice(start, end) for start, end in pairwise([0, *ends])]
        for each in numbers.values():
            each[spans[twins[1]]] = each[spans[twins[0]]]
    return Motion(numbers, ends)


@settings(deadline=None)
@given(st.integers(2, 8), st.data())
def test_a_repeated_episode_is_found_and_no_other(count: int, data: st.DataObject) -> None:
    lengths = [5] * count
    assert not [*repetition_findings(motion(lengths), ["a"] * count)]
    one = data.draw(st.integers(0, count - 2))
    other = data.draw(st.integers(one + 1, count - 1))
    (finding,) = repetition_findings(motion(lengths, (one, other)), ["a"] * count)
    assert (finding.level, finding.where) == ("warning", f"episode {other}")
    assert f"those of episode {one} " in finding.message


def test_the_same_movement_for_another_task_is_no_repetition() -> None:
    assert not [*repetition_findings(motion([5, 5], (0, 1)), ["a", "b"])]


def test_episodes_of_one_frame_are_a_warning() -> None:
    (finding,) = repetition_findings(motion([5, 1, 5]), ["a"] * 3)
    assert finding.where == "episode 1"


def test_initial_states_of_the_evaluation_are_a_warning() -> None:
    rows = [{"suite": "libero_spatial", "task": 0, "init_state": state} for state in (3, 30, 31)]
    (finding,) = shared_findings(rows, [("libero_spatial", 0)], range(30, 50))
    assert finding.message.startswith("2 episodes")
    assert "30, 31" in finding.message
    assert not [*shared_findings(rows, [("libero_spatial", 1)], range(30, 50))]
    assert not [*shared_findings(rows, [("libero_spatial", 0)], range(40, 50))]
    assert not [*shared_findings([{"someone": "else's"}], [("libero_spatial", 0)], range(50))]
