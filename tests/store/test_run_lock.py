"""One run per results tree: on one machine by the kernel's lock, between machines also by the note's age."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from world_modality.errors import UserError
from world_modality.store import run_lock as module
from world_modality.store.run_lock import run_lock

HOLDER = """
import sys, time
from pathlib import Path
from world_modality.store.run_lock import {function}
{statement}
    print("held", flush=True)
    time.sleep(60)
"""
WITH = HOLDER.format(function="run_lock", statement="with run_lock(Path(sys.argv[1])):")
TO_THE_END = HOLDER.format(
    function="hold_until_exit", statement="hold_until_exit(Path(sys.argv[1]))\nfor _ in range(1):"
)
PARENT = """
import os, subprocess, sys
from pathlib import Path
from world_modality.store.run_lock import HANDLE_VARIABLE, run_lock
with run_lock(Path(sys.argv[1])) as handle:
    environment = os.environ | {HANDLE_VARIABLE: str(handle)}
    child = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[1]], env=environment, pass_fds=(handle,))
    print(child.pid, flush=True)
    child.wait()
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", *arguments], stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def refusal(root: Path) -> str:
    with pytest.raises(UserError) as caught, run_lock(root):
        pass
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("script", [WITH, TO_THE_END])
def test_a_living_holder_is_named_and_a_dead_one_forgotten(script: str, tmp_path: Path) -> None:
    holder = start(script, str(tmp_path))
    assert line(holder) == "held"
    who = f"process {holder.pid} on {platform.node()}"
    assert refusal(tmp_path) == f"a run already works on {tmp_path} ({who}); wait for it, or stop it first"
    holder.kill()
    holder.communicate()
    assert (tmp_path / "run.lock").read_text() == f"{platform.node()} {holder.pid}\n"
    with run_lock(tmp_path):
        assert (tmp_path / "run.lock").read_text() == f"{platform.node()} {os.getpid()}\n"
    assert (tmp_path / "run.lock").read_text() == ""


def test_a_holder_that_ends_by_itself_leaves_no_note(tmp_path: Path) -> None:
    holder = start(TO_THE_END.replace("time.sleep(60)", ""), str(tmp_path))
    holder.communicate()
    assert holder.returncode == 0
    assert (tmp_path / "run.lock").read_text() == ""


def test_one_of_many_at_once_wins(tmp_path: Path) -> None:
    script = WITH.replace("time.sleep(60)", "sys.stdin.read()")
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        end = time.monotonic() + 60
        while sum(holder.poll() is None for holder in holders) > 1 and time.monotonic() < end:
            time.sleep(0.02)
        assert sum(holder.poll() is None for holder in holders) == 1
    finally:
        said = [holder.communicate()[0].strip() for holder in holders]
    assert sorted(said) == ["", "", "", "held"]


def test_a_child_goes_on_holding_for_a_killed_parent(tmp_path: Path) -> None:
    parent = start(PARENT, str(tmp_path), TO_THE_END)
    child = int(line(parent))
    assert line(parent) == "held"
    try:
        parent.kill()
        parent.wait()
        assert f"process {child} on" in refusal(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
        assert parent.stdout is not None
        parent.stdout.read()  # to the child's end
    with run_lock(tmp_path):
        pass


def test_a_note_of_another_host_counts_while_it_is_young(tmp_path: Path) -> None:
    note = tmp_path / "run.lock"
    note.write_text("elsewhere 12\n")
    os.utime(note, (time.time() - 50, time.time() - 50))
    text = refusal(tmp_path)
    assert text.startswith(f"{note} says that process 12 on elsewhere worked here 50 s ago; ")
    assert text.endswith("if it is dead wait 70 s or remove that file")
    assert note.read_text() == "elsewhere 12\n"
    os.utime(note, (time.time() - module.SILENCE_S - 1,) * 2)
    with run_lock(tmp_path):
        pass
    note.write_text("elsewhere 12\n")
    refusal(tmp_path)
    note.unlink()
    with run_lock(tmp_path):
        pass


def test_a_holder_keeps_its_note_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    note = tmp_path / "run.lock"
    with run_lock(tmp_path):
        os.utime(note, (0, 0))
        end = time.monotonic() + 10
        while note.stat().st_mtime == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert note.stat().st_mtime > 0
    os.utime(note, (0, 0))
    time.sleep(0.1)
    assert note.stat().st_mtime == 0
