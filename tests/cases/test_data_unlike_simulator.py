"""Datasets that differ from what the simulator will show and take: told before anything is trained, with evidence."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Outcome, assert_told, before_the_first_job, wm
from support.given_inputs import Episodes, Moment, dataset_of, study_of

OTHER_TEXT = "fold the towel"


def empty_text(moment: Moment) -> Moment:
    return replace(moment, task="")


def other_text(moment: Moment) -> Moment:
    return replace(moment, task=OTHER_TEXT)


def gripper_from_0_to_1(moment: Moment) -> Moment:
    action = moment.action.copy()
    action[6] = (action[6] + 1) / 2
    return replace(moment, action=action)


def upside_down(moment: Moment) -> Moment:
    images = {camera: np.ascontiguousarray(shown[::-1]) for camera, shown in moment.seen.images.items()}
    return replace(moment, seen=replace(moment.seen, images=images))


def started(data: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    return before_the_first_job(study_of(data), monkeypatch)


def test_the_recorded_data_are_found_fit(place: Path, episodes: Episodes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(dataset_of(place / "data", episodes), monkeypatch).accepted


@pytest.mark.slow
def test_so_are_they_under_other_names_once_the_study_renames_them(place: Path, episodes: Episodes) -> None:
    data = dataset_of(place / "data", episodes, cameras=("front", "wrist"))
    outcome = wm("check", study_of(data, {"front": "image", "wrist": "image2"}))
    assert outcome.accepted, outcome.said
    assert "data, policy, encoder and simulator fit together" in outcome.printed


def test_empty_texts_are_found(place: Path, episodes: Episodes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset_of(place / "data", episodes, change=empty_text)
    assert_told(started(data, monkeypatch), "empty", "meta/tasks.parquet")


def test_data_without_any_of_the_suites_instructions_are_told_with_both_lists(
    place: Path, episodes: Episodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dataset_of(place / "data", episodes, change=other_text)
    assert_told(started(data, monkeypatch), OTHER_TEXT, episodes[0][0].task)


@pytest.mark.slow
def test_another_range_of_the_gripper_is_found(
    place: Path, episodes: Episodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = started(dataset_of(place / "data", episodes, change=gripper_from_0_to_1), monkeypatch)
    assert_told(outcome, "gripper")
    assert re.search(r"\b0(\.0)?\b.*\b1(\.0)?\b.*-1(\.0)?\b", outcome.said), "both ranges are the evidence"


def test_pictures_upside_down_are_found(place: Path, episodes: Episodes, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = started(dataset_of(place / "data", episodes, change=upside_down), monkeypatch)
    assert_told(outcome, "observation.images.image")
    assert re.search("upside down|flipped|turned", outcome.said)
