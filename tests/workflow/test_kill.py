"""``kill -9`` at random moments: nothing finished runs twice, and the end is the same."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from support.fake_stages import EPISODES, finished_episodes
from support.results_tree import SHORT_STAGES, Tree

SLOW = 0.5  # seconds per episode


def wait_until(tree: Tree, episodes: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait for so many finished episodes; False if the run ended before."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if (tree.results / "finished-episodes").is_dir() and finished_episodes(tree.results) >= episodes:
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    raise AssertionError("no progress")


def kill_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def snakemake_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    """The Snakemake that a `wm run` started."""
    return next(child for child in psutil.Process(process.pid).children() if "snakemake" in child.cmdline())


def survive(tree: Tree, kills: int, seed: int) -> None:
    """Run to the end with ``kills`` kills of the whole process group, after a few more episodes each."""
    random_ = random.Random(seed)
    moments = sorted(random_.sample(range(1, SHORT_STAGES * EPISODES - 1), kills))
    for episodes in moments:
        begun = (tree.results / "snapshots").is_dir()
        process = tree.start("resume" if begun else "run", "--cores", "2", seconds=SLOW)
        reached = wait_until(tree, episodes, process)
        time.sleep(random_.uniform(0, SLOW))
        if reached and process.poll() is None:
            kill_group(process)
    tree.wm("resume", "--cores", "2")
    assert len(tree.done()) == SHORT_STAGES
    assert (
        finished_episodes(tree.results) == SHORT_STAGES * EPISODES
    )  # the stand-ins fail if an episode is finished twice
    records = list(tree.results.glob("*/*/DONE.json"))
    assert len(records) == SHORT_STAGES
    assert "0 damaged" in tree.verify()


def test_two_kills(tree: Tree, complete: Tree) -> None:
    survive(tree, kills=2, seed=0)
    assert tree.report() == complete.report()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_kills(tree: Tree, complete: Tree, seed: int) -> None:
    survive(tree, kills=10, seed=seed)
    assert tree.report() == complete.report()


@pytest.mark.slow
def test_stages_end_with_a_killed_snakemake(tree: Tree) -> None:
    process = tree.start("run", "--cores", "2", seconds=20)
    end = time.monotonic() + 120
    stages: list[psutil.Process] = []
    while not stages and time.monotonic() < end:
        time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        stages = [child for child in children if "stage" in child.cmdline()]
        if not list(tree.results.glob("*/*/attempts.txt")):
            stages = []
    snakemake_of(process).kill()
    assert not psutil.wait_procs(stages, timeout=20)[1]
    assert process.wait(timeout=60) != 0
    assert tree.wm("run", "--cores", "2").returncode == 0
    assert len(tree.done()) == SHORT_STAGES


def test_sigterm_to_wm_alone_ends_the_run(tree: Tree) -> None:
    process = tree.start("run", "--cores", "2", seconds=20)
    try:
        wait = time.monotonic() + 120
        while not list(tree.results.glob("*/*/attempts.txt")) and time.monotonic() < wait:
            time.sleep(0.1)
        family = psutil.Process(process.pid).children(recursive=True)
        assert any("stage" in each.cmdline() for each in family)
        process.terminate()
        assert process.wait(20) == 143
        assert psutil.wait_procs(family, timeout=20)[1] == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_ctrl_c_ends_in_one_sentence_of_ours(tree: Tree) -> None:
    process = subprocess.Popen(
        [sys.executable, *tree.wm_command("run", "--cores", "2")],
        cwd=tree.folder,
        env=tree.environment | {"FAKE_STAGE_SECONDS": "20"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait = time.monotonic() + 120
    while not list(tree.results.glob("*/*/attempts.txt")) and time.monotonic() < wait:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0].splitlines()
    assert process.returncode == 130
    assert said[-1] == f"stopped      0 of {SHORT_STAGES} stages sealed; `wm resume` goes on from here"
    assert not [line for line in said if "Error" in line or "Traceback" in line]


def test_a_second_run_beside_a_living_one_is_refused(tree: Tree) -> None:
    process = tree.start("run", "--cores", "2", seconds=20)
    try:
        wait = time.monotonic() + 120
        while not list(tree.results.glob("*/*/attempts.txt")) and time.monotonic() < wait:
            time.sleep(0.1)
        snakemake = snakemake_of(process)
        holder = f"(process {snakemake.pid} on {platform.node()})"
        refused = f"a run already works on results {holder}; wait for it, or stop it first\n"
        for _ in range(2):
            second = tree.wm("run", check=False)
            assert (second.returncode, second.stdout, second.stderr) == (1, "", refused)
            process.kill()  # `wm run` alone: its Snakemake goes on, and must not be joined by another
            process.wait()
        assert snakemake.is_running()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    psutil.wait_procs([snakemake], timeout=20)
    tree.wm("run", "--cores", "2")
    assert len(tree.done()) == SHORT_STAGES


def test_a_plain_snakemake_holds_the_tree_too(tree: Tree) -> None:
    process = tree.start("--cores", "2", seconds=20, plain=True)
    try:
        note = tree.results / "run.lock"
        wait = time.monotonic() + 120
        while not (note.exists() and note.read_text()) and time.monotonic() < wait:
            time.sleep(0.1)
        second = tree.wm("run", check=False)
        assert second.returncode == 1
        assert second.stderr.startswith(f"a run already works on results (process {process.pid} on ")
    finally:
        kill_group(process)
