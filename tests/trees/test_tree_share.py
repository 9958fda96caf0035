"""Two machines, here two working folders, make one study through one remote: nothing is made twice."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.depots import SECRET
from support.fake_tree import make, plan
from support.results_tree import SHORT_STAGES, SHORT_STUDY, Tree
from support.small_trees import make as make_stage
from support.small_trees import request_of, sealed

from world_modality.cli.run_stage import run_stage
from world_modality.errors import UserError
from world_modality.store.execute import execute
from world_modality.store.layout import RESULTS, SHARE_VARIABLE, SNAPSHOT_VARIABLE, stage_folder
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.trees.claims import Claims, Turn
from world_modality.trees.names import CLAIMS, done_name
from world_modality.trees.remote import Refused, RemoteError, SharedRemote, open_remote, open_shared
from world_modality.trees.share import Share
from world_modality.trees.sync import Syncing

TESTS = Path(__file__).parents[1]


def require_made_once(trees: list[Tree], stages: int) -> None:
    """Every stage was started once, by one of them, and all have every result."""
    assert [len(tree.done()) for tree in trees] == [stages] * len(trees)
    for tree in trees:
        starts = {path.parent.name: path.read_text().splitlines() for path in tree.results.glob("*/*/attempts.txt")}
        assert {key: len(lines) for key, lines in starts.items() if len(lines) != 1} == {}
    episodes = [{path.name for path in (tree.results / "finished-episodes").glob("*")} for tree in trees]
    assert sum(map(len, episodes)) == len(set().union(*episodes)) == 3 * stages
    assert all(episodes), "one tree made everything"
    one, two = ({key: each.content_digest for key, each in sealed(tree.results).items()} for tree in trees)
    assert one == two


def start(tree: Tree, depot: str, *words: str, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.fake_tree", *words],
        cwd=tree.folder,
        env={**tree.environment, **os.environ, "PYTHONPATH": tree.environment["PYTHONPATH"]}
        | {SHARE_VARIABLE: depot, "FAKE_STAGE_SECONDS": str(seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def trees_of(tmp_path: Path) -> list[Tree]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return [Tree(tmp_path / name) for name in ("one", "two")]


@pytest.fixture
def shared(depot: str) -> SharedRemote:
    return open_shared(depot)


def test_two_trees_finish_a_study_and_no_stage_is_made_twice(depot: str, tmp_path: Path) -> None:
    trees = trees_of(tmp_path)
    machines = [
        start(tree, depot, *words, seconds=0.05)
        for tree, words in zip(trees, (("together",), ("backwards", "together")), strict=True)
    ]
    said = [machine.communicate(timeout=120)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    require_made_once(trees, SHORT_STAGES)
    assert "fetched from" in "".join(said)
    assert SECRET not in "".join(said)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
def test_what_a_run_shared_another_need_not_run(tmp_path: Path) -> None:
    one, late = trees_of(tmp_path)
    (tmp_path / "depot").mkdir()
    one.wm("run", "--cores", "2", "--share", "../depot")
    assert len(sealed(tmp_path / "depot")) == SHORT_STAGES
    result = late.wm("run", "--share", "../depot")
    assert f"{SHORT_STAGES} stages fetched, 0 pushed: ../depot" in result.stderr
    assert f"{SHORT_STAGES} done, 0 to run" in result.stderr
    assert not list(late.results.glob("finished-episodes/*"))
    assert late.report() == one.report()
    again = late.wm("resume", "--no-verify").stderr
    assert f"share        {tmp_path / 'depot'}, as in the run before; without it: --share ''" in again
    assert f"0 stages fetched, 0 pushed: {tmp_path / 'depot'}" in again


@pytest.mark.slow
def test_two_runs_at_once_share_a_study(depot: str, tmp_path: Path) -> None:
    """As long as its stages take, both have their part in it."""
    trees = trees_of(tmp_path)
    for tree in trees:
        tree.environment |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    runs = [tree.start("run", "--cores", "1", "--share", depot, seconds=5.0) for tree in trees]
    assert [run.wait(500) for run in runs] == [0, 0]
    require_made_once(trees, SHORT_STAGES)


def test_a_machine_that_vanished_is_gone_on_for(depot: str, tmp_path: Path) -> None:
    """Killed in the middle of a stage that it had pushed a part of."""
    one, two = trees_of(tmp_path)
    killed = start(one, depot, seconds=3.0)
    wait_for(lambda: bool(list(one.results.glob("*/*/work/journal.txt"))))
    remote = open_remote(depot)
    assert Syncing(remote, one.results, None, Progress("push", stream=sys.stderr)).push().unfinished == 1
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    other = start(two, depot, seconds=0.0)
    said, _ = other.communicate(timeout=120)
    assert other.returncode == 0, said
    done = {path.name for path in two.results.glob("finished-episodes/*")}
    begun = {path.name for path in one.results.glob("finished-episodes/*")}
    assert len(begun) == 1
    assert len(done | begun) == 3 * SHORT_STAGES
    assert not done & begun, "it began anew"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_job_whose_stage_another_tree_makes_runs_the_next_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = trees_of(tmp_path)
    (tmp_path / "depot").mkdir()
    monkeypatch.chdir(one.folder)
    planned = plan()
    make(planned, lambda request: request.stage not in ("train", "rollout", "report"))
    first, second = planned.graph.of("train")
    elsewhere = Claims(open_shared(str(tmp_path / "depot")), tmp_path / "two" / "results")
    assert elsewhere.claim("train", first.key) is Turn.OURS
    job = subprocess.Popen(
        [sys.executable, *("-m", "world_modality.cli.main", "stage", "train", first.key, "--together")],
        env=one.environment | {SHARE_VARIABLE: str(tmp_path / "depot"), SNAPSHOT_VARIABLE: str(planned.snapshot)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: f"train/{second.key}" in one.done())
    assert f"train/{first.key}" not in one.done()
    elsewhere.release("train", first.key)
    _, said = job.communicate(timeout=60)
    assert job.returncode == 0
    assert f"{first.label}: waits for process {os.getpid()} on " in said
    assert {f"train/{first.key}", f"train/{second.key}"} <= one.done()
    assert f"train/{second.key}" in sealed(tmp_path / "depot")
    assert not [request for request in planned.graph.of("rollout") if f"rollout/{request.key}" in one.done()]


def share_of(remote: SharedRemote, root: Path) -> Share:
    root.mkdir(exist_ok=True)
    return Share(remote, root, Claims(remote, root), poll_s=0.05)


def writing(root: Path, number: int) -> Callable[[], bool]:
    def write(spec: Any, context: StageContext) -> dict[str, int]:
        (context.artifact / "result.txt").write_text(str(number))
        return {}

    return lambda: execute(root, request_of(number), write, cores=1, stream=io.StringIO())


def test_whoever_waits_does_something_else_meanwhile_and_then_fetches(shared: SharedRemote, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    request, said, meantimes = request_of(1), list[str](), 0
    holder = share_of(shared, one)
    assert holder.claims.claim(request.stage, request.key) is Turn.OURS

    def meantime() -> bool:
        nonlocal meantimes
        meantimes += 1
        if meantimes == 3:
            holder.make(request, writing(one, 1), said.append)
        return True

    share = share_of(shared, two)
    share.make(request, writing(two, 1), said.append, waits=False, meantime=meantime)
    assert (sealed(two), meantimes) == ({}, 0)
    share.make(request, writing(two, 1), said.append, meantime=meantime)
    assert meantimes == 3
    assert sealed(two) == sealed(one)
    assert len(stage_folder(two, request.stage, request.key).attempts.read_text().splitlines()) == 1
    assert "encoder 1: waits for process" in said[0]
    assert len(said) == 2
    assert shared.files(f"{CLAIMS}/") == {}


def test_a_stage_that_fails_is_let_go_of(shared: SharedRemote, tmp_path: Path) -> None:
    def fail() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        share_of(shared, tmp_path / "one").make(request_of(1), fail, print)
    assert shared.files(f"{CLAIMS}/") == {}


def test_a_stage_that_was_sealed_before_it_was_shared_is_pushed(shared: SharedRemote, tmp_path: Path) -> None:
    make_stage(tmp_path / "one", 1)
    share_of(shared, tmp_path / "one").make(request_of(1), writing(tmp_path / "one", 1), print)
    assert shared.read(done_name("encoder", request_of(1).key))


def test_what_was_tampered_with_is_no_result_of_a_job(shared: SharedRemote, tmp_path: Path) -> None:
    folder = make_stage(tmp_path / "one", 1)
    share_of(shared, tmp_path / "one").make(request_of(1), lambda: False, print)
    shared.write(f"encoder/{folder.path.name}/artifact/weights.bin", b"v")
    with pytest.raises(Refused, match=r"\(encoder 1\) is not as it was sealed"):
        share_of(shared, tmp_path / "two").make(request_of(1), lambda: pytest.fail("made"), print)


class Failing:
    """A folder that is out of reach for a while."""

    def __init__(self, remote: SharedRemote) -> None:
        self._remote, self.out, self.asked = remote, False, 0

    def __getattr__(self, name: str) -> Any:
        if self.out and not name.startswith("_") and name != "title":
            self.asked += 1
            raise RemoteError("the depot does not answer")
        return getattr(self._remote, name)


def test_a_remote_that_is_out_of_reach_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "depot").mkdir()
    failing: Any = Failing(open_shared(str(tmp_path / "depot")))
    share, said = share_of(failing, tmp_path / "one"), list[str]()
    failing.out = True

    def come_back() -> None:
        wait_for(lambda: failing.asked > 3)
        failing.out = False

    threading.Thread(target=come_back, daemon=True).start()

    def work() -> bool:
        writing(tmp_path / "one", 1)()
        failing.asked, failing.out = 0, True
        threading.Thread(target=come_back, daemon=True).start()
        return True

    share.make(request_of(1), work, said.append)
    assert said == [
        "encoder 1: the depot does not answer; tried again until it answers",
        "encoder 1 is sealed and not pushed yet: the depot does not answer; tried again until it answers",
    ]
    assert sealed(tmp_path / "depot") == sealed(tmp_path / "one")


@pytest.mark.parametrize("program", ["rsync", "rclone"])
def test_what_cannot_be_shared_or_reached_is_one_sentence(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"rsync": "me@there:/results", "rclone": "depot:results"}[program]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=f"is reached with {program}, which is not installed: install it"):
        open_remote(name)
    (tmp_path / program).write_text("#!/bin/sh\n")
    (tmp_path / program).chmod(0o755)
    with pytest.raises(UserError, match=r"--share: .* cannot create a file only if it is not there"):
        open_shared(name)
    with pytest.raises(UserError, match="there is no folder"):
        open_remote(str(tmp_path / "nowhere"))


def test_a_job_of_a_run_that_shares_nothing_asks_no_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SHARE_VARIABLE, "")
    (tmp_path / "study.yaml").write_text(SHORT_STUDY)
    planned = plan()
    make(planned, lambda request: request.stage == "policy")
    assert not (RESULTS / "tree.json").exists()
    policy = next(planned.graph.of("policy"))
    assert run_stage(RESULTS, planned.snapshot, "policy", policy.key, 1) == 0
