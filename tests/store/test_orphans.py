"""A stage ends when the Snakemake that started it on this machine is gone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from world_modality.store import orphans, processes
from world_modality.store.orphans import Identity, this_process
from world_modality.store.processes import place, started

PARENT = """
import os, subprocess, sys, time
from world_modality.store import orphans
orphans.announce()
child = '''
import subprocess, sys, time
from world_modality.store import orphans
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
orphans.watch(every=0.05)
print(grandchild.pid, flush=True)
time.sleep(60)
'''
process = subprocess.Popen(["/bin/sh", "-c", 'exec_guard=1; "$0" -c "$1"; true', sys.executable, child])
time.sleep(60)
"""


def test_killing_the_parent_ends_the_stage_and_its_children() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    grandchild = int(parent.stdout.readline())
    stage = psutil.Process(grandchild).parent()
    assert stage is not None
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([stage, psutil.Process(grandchild)], timeout=10)
    assert not alive


def test_only_local_parents_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(orphans.PARENT_VARIABLE, "")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    orphans.announce()
    identity = os.environ[orphans.PARENT_VARIABLE]
    assert orphans.is_local(identity, {})
    assert not orphans.is_local(identity, {"SLURM_JOB_ID": "7"})
    assert not orphans.is_local("other boot" + identity.removeprefix(place()), {})


def test_a_reused_process_id_is_not_the_parent() -> None:
    pid, began = this_process()
    assert not orphans.is_gone(f"{place()}//{pid}/{began}")
    assert orphans.is_gone(f"{place()}//{pid}/{int(began) - 100}")
    assert not orphans.is_gone("nonsense")


def test_a_clock_that_is_set_ends_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Times of day of a process follow the boot's, which the kernel moves when a clock is set: an hour here."""
    me = this_process()
    stat = (processes.PROC / "stat").read_text()
    later = re.sub(r"^btime (\d+)$", lambda found: f"btime {int(found[1]) + 3600}", stat, flags=re.M)
    (tmp_path / "stat").write_text(later)
    (tmp_path / str(me.pid)).symlink_to(processes.PROC / str(me.pid))
    before = psutil.Process().create_time()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    monkeypatch.setattr(processes, "PROC", tmp_path)
    assert psutil.Process().create_time() == pytest.approx(before + 3600, abs=1)
    assert me.is_alive()


def test_without_proc_another_way_tells_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "PROC", tmp_path)
    me = this_process()
    assert me.is_alive()
    assert not Identity(me.pid, me.started + "1").is_alive()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    waited = psutil.Process(child.pid)
    while waited.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert started(child.pid) is None
    child.wait()
    assert started(child.pid) is None


def test_a_dead_process_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    began = started(process.pid)
    assert not orphans.is_gone(f"{place()}//{process.pid}/{began}")
    process.communicate()
    assert orphans.is_gone(f"{place()}//{process.pid}/{began}")


HELPER = """
import os, sys, time
from world_modality.store.orphans import end_with_parent
end_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(60)
"""
STARTER = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], start_new_session=True)
time.sleep(60)
"""


def test_a_helper_ends_with_its_parent_although_its_group_is_another() -> None:
    parent = subprocess.Popen([sys.executable, "-c", STARTER, HELPER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    helper = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([helper], timeout=5)
    assert not alive


def test_a_helper_whose_parent_is_gone_already_does_nothing() -> None:
    run = subprocess.run([sys.executable, "-c", HELPER, "1"], capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stdout) == (137, "")


WATCHER = """
import sys, time
from world_modality.store.orphans import Identity, end_with
end_with(Identity(int(sys.argv[1]), sys.argv[2]), every=0.05)
print("watching", flush=True)
time.sleep(60)
"""


def watcher(pid: int, began: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WATCHER, str(pid), began], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_one_that_is_watched_ends_its_watcher_and_another_of_its_number_does_not_stand_in() -> None:
    """Simulators are forked by a server, so the rollout that they follow is not their parent."""
    watched = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    began = started(watched.pid)
    assert began is not None
    follower, late = watcher(watched.pid, began), watcher(watched.pid, str(int(began) - 100))
    assert late.wait(20) == 1  # whom it should follow is gone: the number is another's by now
    assert follower.poll() is None
    watched.kill()  # and nobody has asked how it ended: a zombie keeps its number
    assert follower.wait(20) == 1
    watched.wait()
    assert this_process().is_alive()
