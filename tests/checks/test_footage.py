"""Judging how pictures go on: those of a hand that moves change, and are not black."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from world_modality.checks.footage import footage_findings
from world_modality.checks.pictures import Seen, Start
from world_modality.facts.benchmarks import SUITES

SUITE = SUITES["libero_spatial"]
COLUMN = "observation.images.image"
REACH = np.array([0.3, 0, 0, 0, 0, 0, 0, 0])
TURN = np.array([0, 0, 0, 0.3, 0, 0, 0, 0])


def seen(seed: int, state: np.ndarray) -> Seen:
    picture = np.full((64, 64, 3), 100, np.uint8)
    picture[8 * seed : 8 * seed + 8, :8] = 200
    return Seen({COLUMN: picture}, state)


def episode(number: int, *later: Seen) -> Start:
    first = seen(0, np.zeros(8))
    return Start(number, "text", first.pictures, first.state, later)


def test_pictures_that_go_on_have_no_finding() -> None:
    assert not [*footage_findings([episode(0, seen(1, REACH), seen(2, 2 * REACH)), episode(1)], SUITE)]


def test_pictures_of_a_hand_that_returned_may_be_the_first() -> None:
    assert not [*footage_findings([episode(0, seen(1, REACH), seen(0, 0 * REACH))], SUITE)]
    assert not [*footage_findings([episode(0, seen(0, TURN), seen(0, 0 * REACH))], SUITE)]


def test_pictures_that_stand_still_are_an_error_and_in_few_episodes_a_warning() -> None:
    frozen, fine = episode(3, seen(0, REACH), seen(0, 2 * REACH)), episode(4, seen(1, REACH))
    for starts, level in (([frozen], "error"), ([fine, frozen], "warning")):
        (finding,) = footage_findings(starts, SUITE)
        assert (finding.level, finding.where) == (level, COLUMN)
        assert "first episode 3" in finding.message


def test_pictures_that_turn_black_are_an_error() -> None:
    dark = replace(seen(1, REACH), pictures={COLUMN: np.zeros((64, 64, 3), np.uint8)})
    (finding,) = footage_findings([episode(0, seen(1, REACH), dark), episode(1, seen(1, REACH))], SUITE)
    assert finding.level == "error"
    assert "in 1 of 2 episodes looked at, first episode 0, pictures half way or at the end are black" in finding.message
