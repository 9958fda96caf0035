"""Studies on a real SLURM of two nodes on this machine: ``make test-slurm``."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.fake_stages import EPISODES, finished_episodes
from support.results_tree import REPOSITORY, SHORT_STAGES, Tree
from support.sealed_contents import contents, different
from support.slurm_cluster import NODES, Cluster, cluster
from support.whole_study import SMALL_STUDY, run_study

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(4200)]
PROFILE = REPOSITORY / "workflow" / "profiles" / "slurm" / "config.yaml"
LIMIT_S = 1500.0
QUICK = (("before-status-checks: 20", "before-status-checks: 3"), ("status-checks: 20", "status-checks: 3"))


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


def profile(folder: Path) -> str:
    """The repository's own, which asks SLURM more often: here nobody minds."""
    text = PROFILE.read_text()
    for there, here in QUICK:
        assert there in text
        text = text.replace(there, here)
    (folder / "quick").mkdir()
    (folder / "quick" / "config.yaml").write_text(text)
    return "./quick"


def jobs(slurm: Cluster, state: str = "RUNNING") -> list[str]:
    """Nodes of the jobs in this state, by job number."""
    return slurm.call("squeue", "-h", "-t", state, "-o", "%i %N", check=False).splitlines()


def wait_for(what: str, condition: object, process: subprocess.Popen[bytes], seconds: float) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} in {seconds} s"
        assert process.poll() is None, f"the run ended before {what}"
        time.sleep(0.1)


def started(folder: Path, slurm: Cluster, *arguments: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "world_modality.cli.main", *arguments]
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            command, cwd=folder, env=slurm.environment | environment, stdout=said, stderr=said, start_new_session=True
        )


def test_a_study_whose_node_and_controller_die_equals_one_that_was_run_here(slurm: Cluster, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    study = SMALL_STUDY.replace("steps: 4", "steps: 60")  # long enough to be killed in
    run_study(here, study, LIMIT_S, cores=2)
    there.mkdir()
    (there / "study.yaml").write_text(study)
    process = started(there, slurm, "run", "--study", "study.yaml", "--profile", profile(there), environment={})
    wait_for("training", lambda: any((there / "results/train").glob("*/work/run")), process, 600)
    begun = next((there / "results/train").glob("*/work/run")).parts[-3]
    running = slurm.call("squeue", "-h", "-t", "RUNNING", "-o", "%N %k").splitlines()
    busy = next(line.split()[0] for line in running if begun in line)  # its job's comment names the stage
    assert slurm.kill_node(busy) > 0
    slurm.kill_controller()
    time.sleep(5)
    slurm.start_controller()
    assert process.wait(LIMIT_S) == 0, (there / "said.txt").read_text()[-4000:]
    slurm.start_node(busy)
    slurm.wait_for_nodes(len(NODES))
    assert different(contents(here), contents(there)) == []
    attempts = [len(file.read_text().splitlines()) for file in (there / "results").glob("*/*/attempts.txt")]
    assert max(attempts) > 1  # what the dead node worked on was begun anew, and nothing else
    assert sum(attempts) <= len(attempts) + 2


@pytest.fixture
def tree(slurm: Cluster, tmp_path: Path) -> Tree:
    made = Tree(tmp_path)
    made.environment |= slurm.environment | {"PYTHONPATH": made.environment["PYTHONPATH"]}
    return made


def kill(process: subprocess.Popen[bytes]) -> None:
    """As if the machine that submits jobs had lost power."""
    for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        if "squeue" not in each.name():
            each.send_signal(signal.SIGKILL)
    process.wait()


def test_resume_cancels_what_a_dead_run_left_in_the_queue_and_goes_on(slurm: Cluster, tree: Tree) -> None:
    environment = {name: tree.environment[name] for name in ("PYTHONPATH", "WORLD_MODALITY_RUNNERS")}
    slow = environment | {"FAKE_STAGE_SECONDS": "20"}
    profile(tree.folder)
    run = ("run", "--study", "study.yaml", "--profile", "./quick")
    process = started(tree.folder, slurm, *run, environment=slow)
    wait_for("job at work", lambda: any(tree.results.glob("*/*/work/journal.txt")), process, 180)
    kill(process)
    left = jobs(slurm)
    assert left
    resumed = tree.wm("resume", check=False)  # on the queue again, as the run that died
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"left over    {len(left)} job" in resumed.stderr
    assert "of a dead run in SLURM's queue: cancelled" in resumed.stderr
    assert "so far       " in resumed.stderr
    assert len(tree.done()) == SHORT_STAGES
    assert finished_episodes(tree.results) == SHORT_STAGES * EPISODES  # none twice
    assert jobs(slurm) == []
    assert list((tree.folder / ".snakemake" / "slurm_logs").glob("*")) != []
