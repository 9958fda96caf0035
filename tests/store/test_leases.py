"""Who holds what, also when owners die, stop, get stuck or sleep."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from world_modality.store.layout import StageFolder
from world_modality.store.leases import DRAFT, Leases, this_process
from world_modality.store.seal import clean

NAME = "task1_init3_repeat0"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def note_in(folder: Path) -> Path:
    (note,) = folder.glob("*.lease")
    return note


def claim_and_die(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        Leases(folder).claim(NAME)
        os._exit(0)
    os.waitpid(child, 0)


def test_a_dead_owners_lease_is_free_at_once_on_its_machine(tmp_path: Path) -> None:
    claim_and_die(tmp_path)
    assert note_in(tmp_path).is_file()
    assert Leases(tmp_path, silence_s=1e9).claim(NAME)


def test_a_dead_owners_lease_is_free_after_silence_on_another_machine(tmp_path: Path) -> None:
    claim_and_die(tmp_path)
    note = note_in(tmp_path)
    # The same note, as if it were from another machine, whose processes cannot be looked up from here.
    note.write_text(note.read_text().replace('"place": "', f'"place": "{socket.gethostname()} elsewhere '))
    assert not Leases(tmp_path).claim(NAME)
    os.utime(note, (0, 0))
    assert not Leases(tmp_path, silence_s=1e12).claim(NAME)
    taker = Leases(tmp_path, beat_s=0.01)
    wait_for(lambda: taker.claim(NAME))
    assert not Leases(tmp_path).claim(NAME)
    taker.release(NAME)
    assert Leases(tmp_path).claim(NAME)


def test_a_living_owners_lease_is_free_once_nobody_touches_it(tmp_path: Path) -> None:
    """Its process is there and can be looked up: that alone says nothing."""
    stopped = Leases(tmp_path, beat_s=1e6)
    assert stopped.claim(NAME)
    other = Leases(tmp_path, beat_s=0.01)
    assert not other.claim(NAME)
    os.utime(note_in(tmp_path), (0, 0))
    wait_for(lambda: other.claim(NAME))
    assert stopped.holds(NAME)  # for all it knows
    assert not stopped.still_holds(NAME)
    assert not stopped.holds(NAME)
    stopped.release(NAME)
    stopped.close()
    assert other.still_holds(NAME)


def test_a_held_lease_is_touched_and_another_s_is_not(tmp_path: Path) -> None:
    held = Leases(tmp_path, beat_s=0.01)
    assert held.claim(NAME)
    note = note_in(tmp_path)
    os.utime(note, (0, 0))
    wait_for(lambda: note.stat().st_mtime > 0)
    note.write_text(json.dumps({"place": "elsewhere", "pid": 1, "started": "1"}))
    wait_for(lambda: not held.holds(NAME))
    os.utime(note, (0, 0))
    time.sleep(0.1)
    assert note.stat().st_mtime == 0
    held.close()
    assert note.is_file()


def test_an_owner_that_is_stuck_is_not_kept_alive_by_its_own_clock(tmp_path: Path) -> None:
    stuck = Leases(tmp_path, beat_s=0.01, stall_s=0.05)
    assert stuck.claim(NAME)
    time.sleep(0.2)
    os.utime(note_in(tmp_path), (0, 0))
    time.sleep(0.1)
    assert note_in(tmp_path).stat().st_mtime == 0
    stuck.renew()
    wait_for(lambda: note_in(tmp_path).stat().st_mtime > 0)
    stuck.close()


def test_the_first_that_nobody_holds_is_claimed_without_asking_for_each(tmp_path: Path) -> None:
    other, mine = Leases(tmp_path), Asking(tmp_path)
    names = [f"n{number}" for number in range(6)]
    for name in (names[0], names[1], names[3]):
        assert other.claim(name)
        note = tmp_path / f"{name}.lease"
        note.write_text(note.read_text().replace('"place": "', f'"place": "{socket.gethostname()} elsewhere '))
    assert [mine.claim_first(names) for _ in range(3)] == ["n2", "n4", "n5"]
    assert mine.asked == ["n0", "n2", "n4", "n5"]
    held = [names[0], names[1], names[3]]
    assert mine.claim_first(held) is None
    mine.asked.clear()
    assert mine.claim_first(held) is None
    assert mine.asked == []  # none of them can have run out yet
    other.release("n3")
    assert mine.claim_first(held) is None  # its note is another's by now, so it stays
    (tmp_path / "n3.lease").unlink()
    assert mine.claim_first(held) == "n3"
    assert mine.claim_first([]) is None


class Asking(Leases):
    """Notes what it asks for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []

    def claim(self, name: str) -> bool:
        self.asked.append(name)
        return super().claim(name)


def test_what_is_left_stays_until_its_silence_is_over_or_it_is_removed(tmp_path: Path) -> None:
    one, other = Leases(tmp_path), Leases(tmp_path, beat_s=0.01)
    for name in ("a", "b"):
        assert one.claim(name)
        one.leave(name)
    assert not one.holds("a")
    one.close()
    assert not other.claim("a")
    os.utime(tmp_path / "a.lease", (0, 0))
    wait_for(lambda: other.claim("a"))
    assert not other.claim("b")
    other.remove("b")
    assert one.claim("b")


class Unlucky(Leases):
    """An owner that finds the lease held, sees it let go of, and is overtaken by a third before it has it."""

    def __init__(self, folder: Path, holder: Leases, third: Leases) -> None:
        super().__init__(folder)
        self._holder, self._third, self._looks = holder, third, 0

    def _create(self, path: Path) -> bool:
        created = super()._create(path)
        self._holder.release(NAME)
        return created

    def _abandoned(self, *asked: object) -> bool:
        abandoned = super()._abandoned(*asked)
        self._looks += 1
        if self._looks == 2:  # under the lock
            assert self._third.claim(NAME)
        return abandoned


def test_a_lease_that_was_let_go_of_is_not_taken_from_whoever_was_first(tmp_path: Path) -> None:
    holder, third = Leases(tmp_path), Leases(tmp_path)
    assert holder.claim(NAME)
    assert not Unlucky(tmp_path, holder, third).claim(NAME)
    assert third.still_holds(NAME)


def test_a_heart_goes_on_after_any_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one beat runs into, the next is taken: here a set that changed while it was looked through."""
    leases, renew, failed = Leases(tmp_path, beat_s=0.01), Leases._renew, threading.Event()

    def fail_once(self: Leases, path: Path) -> bool:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("Set changed size during iteration")
        return renew(self, path)

    monkeypatch.setattr(Leases, "_renew", fail_once)
    assert leases.claim(NAME)
    assert failed.wait(30)
    os.utime(note_in(tmp_path), (0, 0))
    wait_for(lambda: note_in(tmp_path).stat().st_mtime > 0)


def test_a_damaged_note_is_nobody_s_and_stops_nobody(tmp_path: Path) -> None:
    holder = Leases(tmp_path)
    assert holder.claim(NAME)
    note_in(tmp_path).write_bytes(b"\xff\xfe{")
    assert not holder.still_holds(NAME)
    assert not Leases(tmp_path).claim(NAME)  # until it is silent for long
    os.utime(note_in(tmp_path), (0, 0))
    other = Leases(tmp_path, beat_s=0.01)
    wait_for(lambda: other.claim(NAME))


def test_a_clock_that_is_set_forward_frees_no_lease(tmp_path: Path) -> None:
    """All leases look as old as the clock went; a living owner's next beat comes before anybody else's patience ends.

    The note is that of another machine, or of this one.
    """
    for elsewhere in (False, True):
        folder = tmp_path / str(elsewhere)
        folder.mkdir()
        owner, other = Leases(folder, beat_s=1e6), Leases(folder, beat_s=0.5)
        assert owner.claim(NAME)
        note = note_in(folder)
        if elsewhere:
            note.write_text(note.read_text().replace('"place": "', '"place": "elsewhere '))
        an_hour_ago = time.time() - 3600
        os.utime(note, (an_hour_ago, an_hour_ago))
        assert not other.claim(NAME)
        assert other._may_have_run_out(NAME) == (not elsewhere)  # it is not asked for again before that can help
        os.utime(note)  # the owner's next beat
        assert not other.claim(NAME)
        os.utime(note, (an_hour_ago + 9, an_hour_ago + 9))  # the clock is set once more
        time.sleep(0.6)
        assert not other.claim(NAME)


def test_who_else_is_there_counts_the_living_only(tmp_path: Path) -> None:
    one, other = Leases(tmp_path), Leases(tmp_path)
    assert one.claim("one")
    assert not one.others()
    assert other.others()
    one.close()
    assert not other.others()
    claim_and_die(tmp_path)
    assert not other.others()


def test_drafts_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    def draft(name: str, text: str) -> Path:
        file = tmp_path / f"seal.{name}{DRAFT}"
        file.write_text(text)
        return file

    own = this_process()
    dead = draft("dead", json.dumps(own | {"started": "another"}))
    living, torn = draft("living", json.dumps(own)), draft("torn", '{"pla')
    elsewhere = draft("elsewhere", json.dumps(own | {"place": "elsewhere", "started": "another"}))
    clean(StageFolder(tmp_path))  # as whoever seals
    assert [path.exists() for path in (dead, living, torn, elsewhere)] == [False, True, True, True]
    for path in (torn, elsewhere):
        os.utime(path, (0, 0))
    clean(StageFolder(tmp_path))
    assert [path.exists() for path in (living, torn, elsewhere)] == [True, False, False]
