"""The time of all attempts, those that were killed included."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from world_modality.store import stopwatch
from world_modality.store.stopwatch import read_seconds, timed

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
    failed = read_seconds(path)
    assert 0.19 < failed < 5
    with timed(path) as elapsed:
        time.sleep(0.1)
        assert elapsed() > failed + 0.09
    assert read_seconds(path) > failed + 0.09


def test_a_killed_attempt_counts(tmp_path: Path) -> None:
    path = tmp_path / "seconds"
    process = subprocess.Popen([sys.executable, "-c", PROCESS, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    start = time.monotonic()
    while read_seconds(path) < 0.5 and time.monotonic() < start + 30:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert 0.5 <= read_seconds(path) <= time.monotonic() - start + 1


@pytest.mark.parametrize("text", ["", "soon"])
def test_an_illegible_file_counts_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(text)
    (tmp_path / "two.txt").write_text("2.5")
    assert read_seconds(tmp_path) == 2.5


def test_those_who_work_at_the_same_time_are_all_counted(tmp_path: Path) -> None:
    with timed(tmp_path / "seconds", every=0.02), timed(tmp_path / "seconds", every=0.02) as elapsed:
        time.sleep(0.6)
        assert elapsed() > 0.8  # the other wrote up to a quarter of a second ago
    assert 1.2 <= read_seconds(tmp_path / "seconds") < 5


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
        assert elapsed() > 0.04
