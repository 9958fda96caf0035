"""What a report says of scenes that started otherwise, and what a gate makes of scenes that settled apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.toy_results import ToyResults

from world_modality.evidence.gates import SCENES
from world_modality.report.gates import same_scenes
from world_modality.report.results import load_results
from world_modality.report.table import start_notes

FAULT = "plate_1 settled otherwise than with MuJoCo 3.3.2"


def results_of(toy: ToyResults, edit: Any) -> Any:
    toy.edit = edit
    spec, rollouts, _ = toy.write()
    return load_results(spec, rollouts)


def only_in_e2(name: str, value: object) -> Any:
    def edit(condition: str, values: dict[str, Any]) -> None:
        if condition == "E2":
            values[name] = value

    return edit


def test_a_task_whose_scene_started_otherwise_is_named_once(toy: ToyResults, tmp_path: Path) -> None:
    def edit(_: str, values: dict[str, Any]) -> None:
        values["start_fault"] = FAULT if values["task"] == 1 and values["init_state"] != 10 else ""

    notes = start_notes(results_of(toy, edit))
    assert notes == [f"libero_spatial task 1, 15 of 20 episodes: {FAULT}."]
    assert start_notes(results_of(toy, None)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("settled", {"plate_1": [0.1, 0.2, 0.95, 1.0, 0.0, 0.0, 0.0]}), ("render", "stock")],
)
def test_scenes_that_settled_or_were_drawn_apart_are_not_the_same(toy: ToyResults, name: str, value: object) -> None:
    assert same_scenes(results_of(toy, None)).passed
    gate = same_scenes(results_of(toy, only_in_e2(name, value)))
    assert (gate.name, gate.passed) == (SCENES, False)


def test_records_that_do_not_tell_how_it_settled_are_not_held_against_others(toy: ToyResults) -> None:
    assert same_scenes(results_of(toy, only_in_e2("settled", {}))).passed
