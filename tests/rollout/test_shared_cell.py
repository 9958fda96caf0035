"""Several processes on one rollout cell of a study."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.toy_records import record
from support.toy_stage import request
from support.toy_world import roll, toy_cell

from world_modality.errors import UserError
from world_modality.rollout import stage
from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.records import OWNERS, read_records
from world_modality.store.done import read_done, read_run
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.lock import is_locked

TESTS = Path(__file__).parents[1]
WAIT_S = 300.0  # on a busy machine imports alone take more than a minute
CHANGES: dict[str, Any] = {"init_states": list(range(10)), "repeats": 2}


def start(root: Path, changes: dict[str, Any], runner: str = "toy") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    command = [sys.executable, "-m", "support.toy_stage", str(root), json.dumps(changes), runner]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors
    return output.strip()


def recorded(folder: StageFolder) -> dict[str, list[str]]:
    """The whole lines of each owner's file."""
    files = folder.work.glob("records/records-*.jsonl")
    return {path.name: [line for line in path.read_text().splitlines(True) if line.endswith("\n")] for path in files}


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def wait_for_episodes(folder: StageFolder, count: int, owners: int = 1) -> None:
    def there() -> bool:
        lines = [len(lines) for lines in recorded(folder).values() if lines]
        return folder.done.exists() or (sum(lines) >= count and len(lines) >= owners)

    wait_until(there)


def wait_until_begun(folder: StageFolder) -> None:
    wait_until(lambda: is_locked(folder.lock) or folder.done.exists())


def assert_whole(folder: StageFolder, changes: dict[str, Any], calm: Path) -> None:
    """Sealed, every episode once, each as in a run that nobody disturbed; nothing is left of the work."""
    spec: Any = request(changes).spec
    records = read_records(folder.artifact / "records.jsonl")
    assert [record.episode for record in records] == list(episodes_of(spec))
    assert list(records) == roll(calm, spec)
    done = read_done(folder.done)
    assert done is not None
    assert set(done.files) == {"records.jsonl"}
    assert not folder.work.exists()
    assert not list(folder.path.glob("*.lease"))
    assert not is_locked(folder.lock)


@pytest.mark.parametrize("runner", ["toy", pytest.param("real", marks=pytest.mark.slow)])
def test_two_share_a_cell_and_one_of_them_is_killed(tmp_path: Path, runner: str) -> None:
    folder = stage_folder(tmp_path, "rollout", request(CHANGES).key)
    one, two = start(tmp_path, CHANGES, runner), start(tmp_path, CHANGES, runner)
    wait_for_episodes(folder, 4, owners=2)
    assert is_locked(folder.lock)
    one.send_signal(signal.SIGKILL)
    one.communicate()
    before = [record.episode for path in folder.work.glob(f"records/{OWNERS}") for record in read_records(path)]
    assert len(before) == len(set(before)) >= 4
    three = start(tmp_path, CHANGES, runner)
    assert sorted([ended(two), ended(three)]) == ["found it sealed", "sealed it"]
    assert_whole(folder, CHANGES, tmp_path / "calm")
    run = read_run(folder.run)
    assert run is not None
    assert run.attempts == 1  # the others joined
    assert ended(start(tmp_path, CHANGES, runner)) == "found it sealed"


def test_one_that_is_stopped_keeps_nobody_from_sealing(tmp_path: Path) -> None:
    changes = {"init_states": [3, 5], "repeats": 1}
    folder = stage_folder(tmp_path, "rollout", request(changes).key)
    stopped = start(tmp_path, changes)
    wait_for_episodes(folder, 1)
    stopped.send_signal(signal.SIGSTOP)
    for lease in folder.work.glob("records/leases/*.lease"):  # as if it had been silent for long
        os.utime(lease, (0, 0))
    assert ended(start(tmp_path, changes)) == "sealed it"
    sealed = folder.done.read_bytes()
    stopped.send_signal(signal.SIGCONT)
    assert ended(stopped) == "found it sealed"
    assert folder.done.read_bytes() == sealed
    assert_whole(folder, changes, tmp_path / "calm")


def test_a_cell_is_not_made_half_on_one_device_and_half_on_another(tmp_path: Path) -> None:
    spec: Any = request(CHANGES).spec
    stage._require_same_machinery(tmp_path, toy_cell(spec), ())
    stage._require_same_machinery(tmp_path, toy_cell(spec), ())
    with pytest.raises(UserError, match="begun with device cpu, and here it is cuda: go on with it where"):
        stage._require_same_machinery(tmp_path, toy_cell(spec, device="cuda"), ())
    with pytest.raises(UserError, match="begun with toy 1, and here it is 2"):
        stage._require_same_machinery(tmp_path, toy_cell(spec, versions={"toy": "2"}), ())
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("place", [0, 10, -2])
def test_a_damaged_note_of_a_cell_is_made_again_and_its_records_tell(tmp_path: Path, place: int) -> None:
    spec: Any = request(CHANGES).spec
    stage._require_same_machinery(tmp_path, toy_cell(spec), ())
    note = tmp_path / stage.MANIFEST
    whole = note.read_bytes()
    data = bytearray(whole)
    data[place] ^= 0x80
    note.write_bytes(data)
    stage._require_same_machinery(tmp_path, toy_cell(spec), [record(0, True, device="cpu", versions={"toy": "1"})])
    assert note.read_bytes() == whole
    note.write_bytes(data)
    with pytest.raises(UserError, match="begun with toy 2, and here it is 1"):
        stage._require_same_machinery(tmp_path, toy_cell(spec), [record(0, True, device="cpu", versions={"toy": "2"})])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_kills_of_two_that_share_a_cell_and_its_seal(tmp_path: Path) -> None:
    """Cells so short that kills fall into their beginning and sealing too."""
    rng, kills = random.Random(3), 0
    for number in range(12):
        changes = {"init_states": [number], "repeats": 4}
        folder = stage_folder(tmp_path, "rollout", request(changes).key)
        for _ in range(30):
            running = [start(tmp_path, changes) for _ in range(2)]
            wait_until_begun(folder)
            time.sleep(rng.uniform(0, 1.5))
            for process in running:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += process.returncode == -signal.SIGKILL
                assert process.returncode in (0, -signal.SIGKILL)
            if folder.done.exists():
                break
        assert ended(start(tmp_path, changes)) in ("found it sealed", "sealed it")
        assert_whole(folder, changes, tmp_path / f"calm{number}")
    assert kills >= 20
