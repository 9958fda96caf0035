import dataclasses
import json
import os
import threading

import pytest
from support.toy_world import InlinePool, ToyPolicy, roll, toy_spec

from world_modality.errors import UserError
from world_modality.rollout.records import Ledger, Timing, from_line, read_records, to_line
from world_modality.rollout.units import units_of
from world_modality.store.leases import Leases

UNITS = units_of(toy_spec())


@pytest.fixture
def folder(tmp_path):
    """A ledger with the records of all units, in one file."""
    roll(tmp_path, toy_spec())
    return tmp_path / "ledger"


def only_file(folder):
    (path,) = folder.glob("records-*.jsonl")
    return path


def test_a_line_reads_back_as_the_same_record(folder):
    for record in Ledger(folder, UNITS).done.values():
        assert from_line(to_line(record)) == record
        again = from_line(to_line(record, with_timing=True))
        assert (again, again.timing) == (record, record.timing)


def test_a_torn_line_does_not_count_and_its_unit_runs_again(folder, tmp_path):
    path = only_file(folder)
    whole = path.read_bytes()
    expected = all_of(Ledger(folder, UNITS))
    end_of_fourth = [i for i, byte in enumerate(whole) if byte == ord("\n")][3] + 1
    for cut in (end_of_fourth, end_of_fourth + 1, end_of_fourth + 200, len(whole) - 1):
        for other in folder.glob("records-*.jsonl"):
            other.unlink()
        path.write_bytes(whole[:cut])
        assert len(Ledger(folder, UNITS).done) == (5 if cut == len(whole) - 1 else 4)
        roll(tmp_path, toy_spec())
        assert path.read_bytes() == whole[:cut]  # nobody touches what another has written
        assert all_of(Ledger(folder, UNITS)) == expected


def all_of(ledger):
    return [ledger.done[unit] for unit in ledger.units]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(folder, tmp_path):
    text = only_file(folder).read_text()
    growing = tmp_path / "other" / "records-0.jsonl"
    ledger = Ledger(growing.parent, UNITS)
    for end, count in ((100, 0), (text.index("\n") + 1, 1), (text.index("\n") + 50, 1), (len(text), 6)):
        growing.write_text(text[:end])
        ledger.refresh()
        assert len(ledger.done) == count


def test_publishing_sorts_by_unit_and_can_be_repeated(folder, tmp_path):
    path = only_file(folder)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(reversed(lines)))
    for _ in range(2):
        Ledger(folder, UNITS).publish(tmp_path / "artifact" / "records.jsonl", tmp_path / "timing.jsonl")
    assert [p.name for p in (tmp_path / "artifact").iterdir()] == ["records.jsonl"]
    recorded = sorted(map(from_line, lines), key=lambda record: record.unit)
    assert read_records(tmp_path / "artifact" / "records.jsonl") == tuple(recorded)
    timings = [json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines()]
    assert timings == [dataclasses.asdict(record.unit) | dataclasses.asdict(record.timing) for record in recorded]


def test_no_time_is_published_among_the_results(folder, tmp_path):
    """Units that took longer, or were tried again, give the same file."""
    path = only_file(folder)
    slower = [
        dataclasses.replace(from_line(line), timing=Timing(2, "the simulator died", 99.0))
        for line in path.read_text().splitlines()
    ]
    Ledger(folder, UNITS).publish(tmp_path / "one.jsonl", tmp_path / "timing.jsonl")
    path.write_text("".join(to_line(record, with_timing=True) for record in slower))
    Ledger(folder, UNITS).publish(tmp_path / "two.jsonl", tmp_path / "timing.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert "99.0" in (tmp_path / "timing.jsonl").read_text()


def test_a_unit_has_one_record(folder, tmp_path):
    """Neither whoever lost a unit's lease writes one, nor who has the lease of a unit that is recorded."""
    record = Ledger(folder, UNITS).done[UNITS[0]]
    shared = tmp_path / "shared"
    ledger, other = Ledger(shared, UNITS), Leases(shared / "leases", silence_s=0.05)
    assert not ledger.append(record)  # never claimed
    assert ledger.claim() == UNITS[0]
    (lease,) = (shared / "leases").glob("*.lease")
    os.utime(lease, (0, 0))
    assert other.claim(lease.stem)
    assert not ledger.append(record)  # taken over
    assert all(path.stat().st_size == 0 for path in shared.glob("records-*.jsonl"))
    other.close()
    assert ledger.claim() == UNITS[0]
    assert ledger.append(record)
    late = Ledger(shared, UNITS)
    assert late._leases.claim(lease.stem)
    assert not late.append(record)
    assert sum(path.read_text().count("\n") for path in shared.glob("records-*.jsonl")) == 1


def test_all_owners_publish_the_same_even_if_a_unit_was_recorded_twice(folder, tmp_path):
    text = only_file(folder).read_text()
    lines = text.splitlines(keepends=True)
    late = Ledger(folder, UNITS)  # has read the first file
    slower = dataclasses.replace(from_line(lines[0]), timing=Timing(1, "", 99.0))
    (folder / "records-0.jsonl").write_text(to_line(slower, with_timing=True))
    for number, ledger in enumerate((late, Ledger(folder, UNITS))):
        ledger.publish(tmp_path / f"{number}.jsonl", tmp_path / f"{number}-timing.jsonl")
        records = read_records(tmp_path / f"{number}.jsonl")
        assert [record.unit for record in records] == list(UNITS)
        assert records[UNITS.index(slower.unit)] == slower
        assert (tmp_path / f"{number}-timing.jsonl").read_text().count("99.0") == 1


def test_records_that_were_taken_away_are_not_published_as_none(folder, tmp_path):
    ledger = Ledger(folder, UNITS)
    only_file(folder).unlink()
    with pytest.raises(FileNotFoundError, match="lacks records"):
        ledger.publish(tmp_path / "records.jsonl", tmp_path / "timing.jsonl")
    assert not (tmp_path / "records.jsonl").exists()


def test_damage_in_the_middle_is_named(folder):
    path = only_file(folder)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1][:40] + "\n", *lines[2:]]))
    with pytest.raises(UserError, match=r"jsonl:2 is not a rollout record"):
        read_records(path)
    path.write_text(lines[0].replace('"success"', '"succes"'))
    with pytest.raises(UserError, match=r"jsonl:1"):
        Ledger(path.parent, UNITS)


def test_damage_is_counted_from_the_files_start_however_much_was_read_before(folder):
    path = only_file(folder)
    ledger = Ledger(folder, UNITS)
    with path.open("a") as file:
        file.write("{}\n")
    with pytest.raises(UserError, match=rf"jsonl:{len(path.read_text().splitlines())} is not a rollout record"):
        ledger.refresh()


def test_two_owners_share_the_units_and_each_is_done_once(folder, tmp_path):
    records = Ledger(folder, UNITS).done
    shared = tmp_path / "shared"
    one, two = Ledger(shared, UNITS), Ledger(shared, UNITS)
    mine, yours = [one.claim(), one.claim()], [two.claim(), two.claim()]
    assert [*mine, *yours] == list(UNITS[:4])
    assert all(one.append(records[unit]) for unit in mine)
    assert [one.claim(), two.claim(), one.claim(), two.claim()] == [UNITS[4], UNITS[5], None, None]
    two.close()
    assert [one.claim(), one.claim(), one.claim(), one.claim()] == [*yours, UNITS[5], None]
    three = Ledger(shared, UNITS)
    assert set(three.done) == set(mine)
    assert three.claim() is None
    one.close()
    assert three.claim() == yours[0]
    three.close()
    assert list((shared / "leases").glob("*.lease")) == []


def test_a_unit_that_somebody_else_finished_meanwhile_counts_once(tmp_path):
    """As after a machine slept: its lease was taken over and the unit recorded, and then it finishes the unit too."""
    theirs = roll(tmp_path / "calm", toy_spec())

    class Overtaken(ToyPolicy):
        def infer(self, requests):
            if not self.asked:
                ledger = tmp_path / "ours" / "ledger"
                (ledger / "records-other.jsonl").write_text("".join(to_line(record) for record in theirs))
            return super().infer(requests)

    ours = roll(tmp_path / "ours", toy_spec(), planner=Overtaken())
    assert ours == theirs
    assert len(read_records(tmp_path / "ours" / "artifact" / "records.jsonl")) == len(theirs)


def test_units_that_others_finish_are_waited_for_and_need_no_simulator_of_ours(tmp_path):
    theirs = roll(tmp_path / "calm", toy_spec())
    folder = tmp_path / "ours" / "ledger"
    other = Leases(folder / "leases")
    assert all(other.claim(f"task{unit.task}_init{unit.init_state}_repeat{unit.repeat}") for unit in UNITS)

    def finish():
        (folder / "records-other.jsonl").write_text("".join(to_line(record) for record in theirs))
        other.close()

    timer = threading.Timer(0.3, finish)
    timer.start()
    pool = InlinePool(lambda _task: pytest.fail("a simulator was opened"))
    assert roll(tmp_path / "ours", toy_spec(), pool) == theirs
