"""How a stage stands is told from its files: done, running, failed, stopped, damaged, waiting."""

from __future__ import annotations

import io
import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest
from support.store_process import EPISODES, count, request

from world_modality.errors import UserError
from world_modality.store.attempts import read_attempts
from world_modality.store.execute import execute
from world_modality.store.failure import read_failure, reason_of
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.lock import exclusive
from world_modality.store.look import bytes_below, look, workers

TEXT = "".join(f"{episode}\n" for episode in range(EPISODES))


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return stage_folder(tmp_path, "policy", request().key)


def run(root: Path, runner: Any = count, *, shared: bool = False) -> None:
    execute(root, request(), runner, cores=3, stream=io.StringIO(), shared=shared)


def fail(spec: object, context: object) -> dict[str, int]:
    raise UserError("the weights are not there: fetch them")


def break_down(spec: object, context: object) -> dict[str, int]:
    raise ZeroDivisionError("division\nby zero")


def test_a_stage_that_was_never_started_waits(tmp_path: Path, folder: StageFolder) -> None:
    assert look(folder).state == "waiting"


def test_a_sealed_one_tells_its_facts_time_and_size(tmp_path: Path, folder: StageFolder) -> None:
    run(tmp_path)
    found = look(folder)
    assert (found.state, found.facts, found.size) == ("done", {"episodes": EPISODES}, len(TEXT))
    assert found.run["cores"] == 3
    assert found.seconds == found.run["wall_seconds"]
    folder.done.unlink()  # the next run puts it back
    assert look(folder).state == "done"


def test_a_sealed_one_that_is_not_whole_is_damaged(tmp_path: Path, folder: StageFolder) -> None:
    run(tmp_path)
    file = folder.artifact / "episodes.txt"
    file.write_text("1\n")
    assert look(folder).reason == f"artifact/episodes.txt has 2 bytes instead of {len(TEXT)}"
    file.unlink()
    assert (look(folder).state, look(folder).reason) == ("damaged", "artifact/episodes.txt is missing")
    folder.done.unlink()
    assert (look(folder).state, look(folder).reason) == ("damaged", "a part of its sealed result is gone")
    folder.seal.unlink()
    folder.attempts.unlink()
    folder.done.write_text('{"stage"')
    assert (look(folder).state, look(folder).reason) == ("damaged", "DONE.json is not a whole record")


@pytest.mark.parametrize("shared", [False, True])
def test_a_failure_is_told_until_the_next_start(tmp_path: Path, folder: StageFolder, shared: bool) -> None:
    with pytest.raises(UserError):
        run(tmp_path, fail, shared=shared)
    found = look(folder)
    assert (found.state, found.reason) == ("failed", "the weights are not there: fetch them")

    def start(spec: object, context: object) -> dict[str, int]:
        assert read_failure(folder) is None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, start, shared=shared)
    assert look(folder).state == "stopped"
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, break_down, shared=shared)
    assert look(folder).reason == "ZeroDivisionError: division"
    run(tmp_path, shared=shared)
    assert look(folder).state == "done"
    assert not folder.failed.exists()


def test_a_reason_is_one_line() -> None:
    assert reason_of(UserError("one\ntwo")) == "one"
    assert reason_of(KeyError()) == "KeyError"


def test_whoever_holds_the_lock_works_here(tmp_path: Path, folder: StageFolder) -> None:
    with pytest.raises(UserError):
        run(tmp_path, fail)
    with exclusive(folder.lock, lambda: None):
        assert look(folder).state == "running"


def test_work_on_another_machine_shows_by_its_signs_of_life(tmp_path: Path, folder: StageFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.attempts.write_text("2026-11-30T08:00:00+00:00 elsewhere 12 4\n")
    folder.progress.write_text("policy 0  ##--  1/2 steps\n")
    found = look(folder)
    assert (found.state, found.line) == ("running", "policy 0  ##--  1/2 steps")
    assert found.attempt is not None
    assert (found.attempt.host, found.attempt.process, found.attempt.cores) == ("elsewhere", 12, 4)
    for path in (folder.attempts, folder.progress):
        os.utime(path, (1e9, 1e9))
    assert look(folder).state == "stopped"


def test_attempts_say_who_began_and_older_ones_are_read_too(tmp_path: Path, folder: StageFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.attempts.write_text("2026-01-03T00:00:00+00:00\n")
    run(tmp_path)
    first, second = read_attempts(folder.attempts)
    assert (first.started, first.host, first.is_here) == ("2026-01-03T00:00:00+00:00", "", True)
    assert (second.host, second.process, second.cores) == (platform.node(), os.getpid(), 3)
    assert read_attempts(tmp_path / "none") == ()


def test_workers_of_a_shared_stage_are_known_by_their_leases(folder: StageFolder) -> None:
    folder.workers.mkdir(parents=True)
    (folder.workers / "a.lease").write_text(json.dumps({"pid": 7, "host": "there"}))
    (folder.workers / "torn.lease").write_text("{")
    old = folder.workers / "old.lease"
    old.write_text(json.dumps({"pid": 8, "host": "there"}))
    os.utime(old, (1e9, 1e9))
    assert workers(folder) == [("there", 7)]
    folder.attempts.write_text("2026-11-30T08:00:00+00:00\n")
    assert look(folder).state == "running", "though whoever began it here is gone"
    (folder.workers / "a.lease").unlink()
    assert look(folder).state == "stopped"


def test_a_file_of_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("12345")
    os.link(tmp_path / "one", tmp_path / "two")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "three").write_text("123")
    assert bytes_below(tmp_path) == 8
    assert bytes_below(tmp_path / "none") == 0
