"""The time of all attempts, those that were killed included."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from world_modality.store import stopwatch
from world_modality.store.stopwatch import Spent, read_spent, timed

PROCESS = """
import sys, time
from pathlib import Path
from world_modality.store.stopwatch import timed
with timed(Path(sys.argv[1]), every=0.05):
    print("started", flush=True)
    time.sleep(60)
"""


def test_attempts_add_up_however_they_end(tmp_path: Path) -> None:
    path = tmp_path / "seconds"

    def fail() -> None:
        with timed(path):
            time.sleep(0.2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    failed = read_spent(path).seconds
    assert 0.19 < failed < 5
    with timed(path) as elapsed:
        time.sleep(0.1)
        assert elapsed().seconds > failed + 0.09
    assert read_spent(path).seconds > failed + 0.09


def test_a_killed_attempt_counts(tmp_path: Path) -> None:
    path = tmp_path / "seconds"
    process = subprocess.Popen([sys.executable, "-c", PROCESS, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    start = time.monotonic()
    while read_spent(path).seconds < 0.5 and time.monotonic() < start + 30:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert 0.5 <= read_spent(path).seconds <= time.monotonic() - start + 1


@pytest.mark.parametrize("text", ["", "soon"])
def test_an_illegible_file_counts_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(text)
    (tmp_path / "two.txt").write_text("2.5")  # as an earlier version wrote it
    (tmp_path / "three.txt").write_text("10.0 8\n")
    assert read_spent(tmp_path) == Spent(12.5, 80.0)


def test_hours_of_gpus_are_of_each_that_somebody_held(tmp_path: Path) -> None:
    with timed(tmp_path, gpus=8):
        time.sleep(0.1)
    held = read_spent(tmp_path).seconds
    assert held >= 0.1
    (tmp_path / "helper.txt").write_text("10.0 1\n")
    with timed(tmp_path) as elapsed:  # without any
        found = elapsed()
    assert found.seconds >= 10 + held
    assert found.gpu_seconds == pytest.approx(10 + 8 * held)


def test_those_who_work_at_the_same_time_are_all_counted(tmp_path: Path) -> None:
    with timed(tmp_path / "seconds", every=0.02), timed(tmp_path / "seconds", every=0.02) as elapsed:
        began = time.monotonic()
        while elapsed().seconds < 1.3 * (time.monotonic() - began):  # the other writes only now and then
            assert time.monotonic() < began + 30
            time.sleep(0.05)
        found = elapsed().seconds
    assert found <= read_spent(tmp_path / "seconds").seconds < 65


def test_the_folder_of_a_stage_that_another_sealed_stays_away(tmp_path: Path) -> None:
    with timed(tmp_path / "seconds", every=0.01):
        shutil.rmtree(tmp_path / "seconds")
        time.sleep(0.05)
    assert not (tmp_path / "seconds").exists()


def test_a_full_disk_stops_no_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stopwatch, "write_atomically", full_disk)
    with timed(tmp_path / "seconds", every=0.01) as elapsed:
        time.sleep(0.05)
        assert elapsed().seconds > 0.04
