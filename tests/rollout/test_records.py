import dataclasses
import json
import os
import threading
import time

import numpy as np
import pytest
from support.toy_world import InlinePool, ToyPolicy, roll, toy_spec

from world_modality.errors import UserError
from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.records import (
    Ledger,
    Timing,
    from_line,
    read_records,
    read_unfinished,
    to_ledger_line,
    to_line,
)
from world_modality.store.leases import Leases

EPISODES = episodes_of(toy_spec())


@pytest.fixture
def folder(tmp_path):
    """A ledger with the records of all episodes, in one file."""
    roll(tmp_path, toy_spec())
    return tmp_path / "ledger"


def only_file(folder):
    (path,) = folder.glob("records-*.jsonl")
    return path


def test_a_line_reads_back_as_the_same_record(folder):
    for record in Ledger(folder, EPISODES).done.values():
        assert from_line(to_line(record)) == record
        again = from_line(to_line(record, with_timing=True))
        assert (again, again.timing) == (record, record.timing)


def test_a_torn_line_does_not_count_and_its_episode_runs_again(folder, tmp_path):
    path = only_file(folder)
    whole = path.read_bytes()
    expected = all_of(Ledger(folder, EPISODES))
    end_of_fourth = [i for i, byte in enumerate(whole) if byte == ord("\n")][3] + 1
    for cut in (end_of_fourth, end_of_fourth + 1, end_of_fourth + 200, len(whole) - 1):
        for other in folder.glob("records-*.jsonl"):
            other.unlink()
        path.write_bytes(whole[:cut])
        assert len(Ledger(folder, EPISODES).done) == (5 if cut == len(whole) - 1 else 4)
        roll(tmp_path, toy_spec())
        assert path.read_bytes() == whole[:cut]  # nobody touches what another has written
        assert all_of(Ledger(folder, EPISODES)) == expected


def all_of(ledger):
    return [ledger.done[episode] for episode in ledger.episodes]


def test_a_line_that_is_being_written_is_read_when_it_is_whole(folder, tmp_path):
    text = only_file(folder).read_text()
    growing = tmp_path / "other" / "records-0.jsonl"
    ledger = Ledger(growing.parent, EPISODES)
    for end, count in ((100, 0), (text.index("\n") + 1, 1), (text.index("\n") + 50, 1), (len(text), 6)):
        growing.write_text(text[:end])
        ledger.refresh()
        assert len(ledger.done) == count


def test_publishing_sorts_by_episode_and_can_be_repeated(folder, tmp_path):
    path = only_file(folder)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(reversed(lines)))
    for _ in range(2):
        Ledger(folder, EPISODES).publish(tmp_path / "artifact" / "records.jsonl", tmp_path / "timing.jsonl")
    assert [p.name for p in (tmp_path / "artifact").iterdir()] == ["records.jsonl"]
    recorded = sorted(map(recorded_in, lines), key=lambda record: record.episode)
    assert read_records(tmp_path / "artifact" / "records.jsonl") == tuple(recorded)
    timings = [json.loads(line) for line in (tmp_path / "timing.jsonl").read_text().splitlines()]
    assert timings == [dataclasses.asdict(record.episode) | dataclasses.asdict(record.timing) for record in recorded]


def test_no_time_is_published_among_the_results(folder, tmp_path):
    """Episodes that took longer, or were tried again, give the same file."""
    path = only_file(folder)
    slower = [
        dataclasses.replace(recorded_in(line), timing=Timing(2, "the simulator died", 99.0))
        for line in path.read_text().splitlines()
    ]
    Ledger(folder, EPISODES).publish(tmp_path / "one.jsonl", tmp_path / "timing.jsonl")
    path.write_text("".join(map(to_ledger_line, slower)))
    Ledger(folder, EPISODES).publish(tmp_path / "two.jsonl", tmp_path / "timing.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert "99.0" in (tmp_path / "timing.jsonl").read_text()


def test_an_episode_has_one_record(folder, tmp_path):
    """Neither whoever lost an episode's lease writes one, nor who has the lease of an episode that is recorded."""
    record = Ledger(folder, EPISODES).done[EPISODES[0]]
    shared = tmp_path / "shared"
    ledger, other = Ledger(shared, EPISODES), Leases(shared / "leases", silence_s=0.05)
    assert not ledger.append(record)  # never claimed
    assert ledger.claim() == EPISODES[0]
    (lease,) = (shared / "leases").glob("*.lease")
    os.utime(lease, (0, 0))
    assert not other.claim(lease.stem)
    time.sleep(0.06)
    assert other.claim(lease.stem)
    assert not ledger.append(record)  # taken over
    assert all(path.stat().st_size == 0 for path in shared.glob("records-*.jsonl"))
    other.close()
    assert ledger.claim() == EPISODES[0]
    assert ledger.append(record)
    ledger.tidy()
    late = Ledger(shared, EPISODES)
    assert late._leases.claim(lease.stem)
    assert not late.append(record)
    assert sum(path.read_text().count("\n") for path in shared.glob("records-*.jsonl")) == 1


def test_all_owners_publish_the_same_even_if_an_episode_was_recorded_twice(folder, tmp_path):
    text = only_file(folder).read_text()
    lines = text.splitlines(keepends=True)
    late = Ledger(folder, EPISODES)  # has read the first file
    slower = dataclasses.replace(recorded_in(lines[0]), timing=Timing(1, "", 99.0))
    (folder / "records-0.jsonl").write_text(to_ledger_line(slower))
    for number, ledger in enumerate((late, Ledger(folder, EPISODES))):
        ledger.publish(tmp_path / f"{number}.jsonl", tmp_path / f"{number}-timing.jsonl")
        records = read_records(tmp_path / f"{number}.jsonl")
        assert [record.episode for record in records] == list(EPISODES)
        assert records[EPISODES.index(slower.episode)] == slower
        assert (tmp_path / f"{number}-timing.jsonl").read_text().count("99.0") == 1


def test_records_that_were_taken_away_are_not_published_as_none(folder, tmp_path):
    ledger = Ledger(folder, EPISODES)
    only_file(folder).unlink()
    with pytest.raises(FileNotFoundError, match="lacks records"):
        ledger.publish(tmp_path / "records.jsonl", tmp_path / "timing.jsonl")
    assert not (tmp_path / "records.jsonl").exists()


def recorded_in(line):
    """The record of a ledger's line."""
    return from_line(line.rpartition("\t")[0])


def test_damage_in_a_sealed_file_is_named(folder, tmp_path):
    sealed = tmp_path / "records.jsonl"
    Ledger(folder, EPISODES).publish(sealed, tmp_path / "timing.jsonl")
    lines = sealed.read_text().splitlines(keepends=True)
    sealed.write_text("".join([lines[0], lines[1][:40] + "\n", *lines[2:]]))
    with pytest.raises(UserError, match=r"jsonl:2 is not a rollout record"):
        read_records(sealed)


@pytest.mark.parametrize("seed", range(5))
def test_a_bit_that_flips_in_a_ledger_costs_one_episode_or_two_and_no_other_is_taken_for_it(folder, tmp_path, seed):
    whole = Ledger(folder, EPISODES).done
    path, rng = only_file(folder), np.random.default_rng(seed)
    content = path.read_bytes()
    for _ in range(200):
        place = int(rng.integers(len(content)))
        flipped = bytes([content[place] ^ (1 << int(rng.integers(8)))])
        path.write_bytes(content[:place] + flipped + content[place + 1 :])
        left = Ledger(folder, EPISODES).done
        assert len(whole) - 2 <= len(left) < len(whole)
        assert all(left[episode] == whole[episode] for episode in left)
        assert {record.episode for record in read_unfinished(folder)} == set(left)
    roll(tmp_path, toy_spec())  # goes on in the same folder
    assert Ledger(folder, EPISODES).done == whole


def test_two_owners_share_the_episodes_and_each_is_done_once(folder, tmp_path):
    records = Ledger(folder, EPISODES).done
    shared = tmp_path / "shared"
    one, two = Ledger(shared, EPISODES), Ledger(shared, EPISODES)
    mine, yours = [one.claim(), one.claim()], [two.claim(), two.claim()]
    assert [*mine, *yours] == list(EPISODES[:4])
    assert all(one.append(records[episode]) for episode in mine)
    assert [one.claim(), two.claim(), one.claim(), two.claim()] == [EPISODES[4], EPISODES[5], None, None]
    two.close()
    assert [one.claim(), one.claim(), one.claim(), one.claim()] == [*yours, EPISODES[5], None]
    three = Ledger(shared, EPISODES)
    assert set(three.done) == set(mine)
    assert three.claim() is None
    one.close()
    assert three.claim() == yours[0]
    three.close()
    assert len(list((shared / "leases").glob("*.lease"))) == len(mine)  # their records may not be seen everywhere
    three.tidy()
    assert list((shared / "leases").glob("*.lease")) == []


def test_whoever_sees_records_late_does_not_repeat_their_episodes(folder, tmp_path, monkeypatch):
    """A folder's listing may be a minute old on another machine; its lease says what the record cannot yet."""
    records = Ledger(folder, EPISODES).done
    shared = tmp_path / "shared"
    one, two = Ledger(shared, EPISODES), Ledger(shared, EPISODES)
    first = one.claim()
    assert one.append(records[first])
    monkeypatch.setattr(two, "_files", list)
    assert two.claim() == EPISODES[1]
    assert first not in two.done


def test_a_ledger_is_not_begun_anew_where_all_was_removed(tmp_path):
    with pytest.raises(FileNotFoundError):
        Ledger(tmp_path / "work" / "records", EPISODES)
    assert not (tmp_path / "work").exists()


def test_an_episode_that_somebody_else_finished_meanwhile_counts_once(tmp_path):
    """As after a machine slept: its lease was taken over and the episode recorded, and then it finishes the episode
    too."""
    theirs = roll(tmp_path / "calm", toy_spec())

    class Overtaken(ToyPolicy):
        def infer(self, requests):
            if not self.asked:
                ledger = tmp_path / "ours" / "ledger"
                (ledger / "records-other.jsonl").write_text("".join(map(to_ledger_line, theirs)))
            return super().infer(requests)

    ours = roll(tmp_path / "ours", toy_spec(), planner=Overtaken())
    assert ours == theirs
    assert len(read_records(tmp_path / "ours" / "artifact" / "records.jsonl")) == len(theirs)


def test_episodes_that_others_finish_are_waited_for_and_need_no_simulator_of_ours(tmp_path):
    theirs = roll(tmp_path / "calm", toy_spec())
    folder = tmp_path / "ours" / "ledger"
    folder.mkdir(parents=True)
    other = Leases(folder / "leases")
    assert all(
        other.claim(f"task{episode.task}_init{episode.init_state}_repeat{episode.repeat}") for episode in EPISODES
    )

    def finish():
        (folder / "records-other.jsonl").write_text("".join(map(to_ledger_line, theirs)))
        other.close()

    timer = threading.Timer(0.3, finish)
    timer.start()
    pool = InlinePool(lambda _task: pytest.fail("a simulator was opened"))
    assert roll(tmp_path / "ours", toy_spec(), pool) == theirs
