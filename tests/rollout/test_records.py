import dataclasses

import pytest
from support.toy_world import ToyPlanner, ToyWorld, toy_cell, toy_spec

from world_modality.errors import UserError
from world_modality.rollout.cell import run_cell
from world_modality.rollout.records import Journal, from_line, read_records, to_line
from world_modality.store.progress import Progress


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "work" / "records.jsonl")
    run_cell(toy_cell(toy_spec()), journal, ToyWorld, ToyPlanner(), None, Progress("toy"))
    return journal


def test_a_line_reads_back_as_the_same_record(journal):
    for record in journal.done.values():
        assert from_line(to_line(record)) == record


def test_a_torn_last_line_is_cut_off_and_its_unit_runs_again(journal, tmp_path):
    path = tmp_path / "work" / "records.jsonl"
    whole = path.read_bytes()
    end_of_fourth = [i for i, byte in enumerate(whole) if byte == ord("\n")][3] + 1
    for cut in (end_of_fourth, end_of_fourth + 1, end_of_fourth + 200, len(whole) - 1):
        path.write_bytes(whole[:cut])
        again = Journal(path)
        assert len(again.done) == (5 if cut == len(whole) - 1 else 4)
        assert path.read_bytes().endswith(b"\n")
        run_cell(toy_cell(toy_spec()), again, ToyWorld, ToyPlanner(), None, Progress("toy"))
        assert _without_time(Journal(path)) == _without_time(journal)


def _without_time(journal):
    return [dataclasses.replace(record, wall_s=0.0) for record in journal.done.values()]


def test_publishing_sorts_by_unit_and_can_be_repeated(journal, tmp_path):
    path = tmp_path / "work" / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(reversed(lines)))
    for _ in range(2):
        Journal(path).publish(tmp_path / "artifact" / "records.jsonl")
    assert (tmp_path / "artifact" / "records.jsonl").read_text() == "".join(lines)
    assert [p.name for p in (tmp_path / "artifact").iterdir()] == ["records.jsonl"]


def test_a_unit_has_one_record(journal):
    with pytest.raises(ValueError, match="already"):
        journal.append(next(iter(journal.done.values())))


def test_damage_in_the_middle_is_named(journal, tmp_path):
    path = tmp_path / "work" / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1][:40] + "\n", *lines[2:]]))
    with pytest.raises(UserError, match=r"records\.jsonl:2 is not a rollout record"):
        read_records(path)
    path.write_text(lines[0].replace('"success"', '"succes"'))
    with pytest.raises(UserError, match=r"records\.jsonl:1"):
        read_records(path)
