"""The count of destroyed episodes, on which it depends how many were made again for nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from chaos.faults import damage
from chaos.patient import Patient
from support.toy_records import record

from world_modality.rollout.records import Ledger, read_unfinished, to_line

STATES = range(12)


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path, random.Random(0))


def begun(patient: Patient) -> Path:
    """The records of a rollout in the making."""
    stage = patient.results / "rollout" / ("a" * 16)
    (stage / "work").mkdir(parents=True)
    records = {each.episode: each for each in (record(state, success=True) for state in STATES)}
    ledger = Ledger(stage / "work" / "records", records)
    while episode := ledger.claim():
        ledger.append(records[episode])
    ledger.close()
    (file,) = (stage / "work" / "records").glob("records-*.jsonl")
    return file


def test_a_bit_of_a_record_in_the_making_takes_its_episode(patient: Patient) -> None:
    file, draws = begun(patient), random.Random(1)
    assert patient.recorded(file.parents[2]) == len(STATES)
    for _ in range(20):
        place = draws.randrange(file.stat().st_size)
        damage(patient, [file.parent], lambda data, at=place: data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], "")
        assert patient.destroyed == len(STATES) - len(read_unfinished(file.parent))
    assert patient.destroyed > 5


def test_a_cut_takes_what_is_behind_it(patient: Patient) -> None:
    file = begun(patient)
    damage(patient, [file.parent], lambda data: data[: len(data) // 2], "")
    assert 0 < patient.destroyed == len(STATES) - len(read_unfinished(file.parent))


def test_a_sealed_stage_is_destroyed_once(patient: Patient) -> None:
    stage = patient.results / "rollout" / ("b" * 16)
    (stage / "artifact").mkdir(parents=True)
    (stage / "DONE.json").write_text("{}")
    sealed = stage / "artifact" / "records.jsonl"
    sealed.write_text("".join(to_line(record(state, success=False)) for state in STATES))
    for _ in range(2):
        damage(patient, [sealed.parent], lambda data: data[:-5], "")
    assert patient.destroyed == len(STATES)
