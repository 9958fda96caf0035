"""The schema for editors says what the types say."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from support.small_study import SMALL_STUDY, edited

from world_modality.study.document import read_document
from world_modality.study.load import load_study
from world_modality.study.schema import study_schema

REPOSITORY = Path(__file__).parents[2]
SCHEMA = REPOSITORY / "workflow" / "schemas" / "study.schema.json"
STUDIES = [REPOSITORY / "config.yaml", *sorted((REPOSITORY / "workflow" / "studies").glob("*.yaml"))]


def test_the_committed_schema_is_up_to_date() -> None:
    assert SCHEMA.read_text() == study_schema(), "run `wm schema --output workflow/schemas/study.schema.json`"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_every_committed_study_is_valid_twice(path: Path) -> None:
    load_study(path)
    jsonschema.validate(read_document(path).values, json.loads(study_schema()))
    first = path.read_text().splitlines()[0]
    schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert schema.resolve() == SCHEMA


@pytest.mark.parametrize(
    "edit",
    [
        ("steps: 10\n", "steps: -5\n"),
        ("memory: pred,", "memory: predicted,"),
        ("prophet_layers: 2", "prophet_depth: 2"),
        ("source: scratch", "source: web"),
        ("tasks: [0, 1]", "tasks: every"),
        ("init_states: 30-33", "init_states: some"),
        ("episodes: 4", "episodes: [4]"),
    ],
)
def test_the_schema_rejects_what_the_types_reject(edit: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(edited(edit))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_document(path).values, json.loads(study_schema()))


def test_the_small_study_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(SMALL_STUDY)
    jsonschema.validate(read_document(path).values, json.loads(study_schema()))
