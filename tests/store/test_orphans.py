"""A stage ends when the Snakemake that started it on this machine is gone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time

import psutil
import pytest

from world_modality.store import orphans
from world_modality.store.orphans import this_process

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
    assert not orphans.is_local("otherhost" + identity.removeprefix(platform.node()), {})


def test_a_reused_process_id_is_not_the_parent() -> None:
    me = psutil.Process()
    assert not orphans.is_gone(f"{platform.node()}//{me.pid}/{me.create_time()}")
    assert orphans.is_gone(f"{platform.node()}//{me.pid}/{me.create_time() - 100}")
    assert not orphans.is_gone("nonsense")


def test_a_dead_process_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    created = psutil.Process(process.pid).create_time()
    process.wait()
    time.sleep(0.01)
    assert orphans.is_gone(f"{platform.node()}//{process.pid}/{created}")


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
end_with(Identity(int(sys.argv[1]), float(sys.argv[2])), every=0.05)
print("watching", flush=True)
time.sleep(60)
"""


def watcher(pid: int, created: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(pid), str(created)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_one_that_is_watched_ends_its_watcher_and_another_of_its_number_does_not_stand_in() -> None:
    """Simulators are forked by a server, so the rollout that they follow is not their parent."""
    watched = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    created = psutil.Process(watched.pid).create_time()
    follower, late = watcher(watched.pid, created), watcher(watched.pid, created - 100)
    assert late.wait(20) == 1  # whom it should follow is gone: the number is another's by now
    assert follower.poll() is None
    watched.kill()  # and nobody has asked how it ended: a zombie keeps its number
    assert follower.wait(20) == 1
    watched.wait()
    assert this_process().is_alive()
