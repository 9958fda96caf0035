"""A stage runs once, whatever is killed and however often it is started."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.store_process import EPISODES, count, request

from world_modality.errors import UserError
from world_modality.store.done import read_done, read_run
from world_modality.store.execute import execute
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.lock import exclusive, is_locked
from world_modality.store.stage import Facts, Input, StageContext


@pytest.fixture
def folder(tmp_path: Path) -> StageFolder:
    return stage_folder(tmp_path, "policy", request().key)


def start(root: Path, runner: str = "count", **environment: str) -> subprocess.Popen[str]:
    tests = Path(__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-m", "support.store_process", str(root), runner],
        env=os.environ | {"PYTHONPATH": str(tests)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip()


def wait_for(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def episodes(folder: StageFolder) -> list[str]:
    return (folder.artifact / "episodes.txt").read_text().split()


def test_kill_at_any_moment_and_start_again(tmp_path: Path, folder: StageFolder) -> None:
    for reached in (3, 11):
        process = start(tmp_path, EPISODE_SECONDS="0.2")
        wait_for(lambda reached=reached: folder.work.is_dir() and len(list(folder.work.iterdir())) >= reached)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not folder.done.exists()
        assert not is_locked(folder.lock)
    assert finish(start(tmp_path)) == "ran"
    record = read_done(folder.done)
    run = read_run(folder.run)
    assert record is not None
    assert run is not None
    assert run.attempts == 3
    assert set(episodes(folder)) == {str(episode) for episode in range(EPISODES)}
    assert EPISODES <= len(episodes(folder)) <= EPISODES + 2  # at most the episode in hand is done again, per kill
    assert not folder.work.exists()


def test_duplicates_wait_and_then_find_it_done(tmp_path: Path, folder: StageFolder) -> None:
    processes = [start(tmp_path, EPISODE_SECONDS="0.1") for _ in range(3)]
    assert sorted(finish(process) for process in processes) == ["found it done", "found it done", "ran"]
    assert episodes(folder) == [str(episode) for episode in range(EPISODES)]


def test_who_does_not_want_to_wait_leaves_a_stage_that_another_works_on(tmp_path: Path, folder: StageFolder) -> None:
    folder.path.mkdir(parents=True)
    heard = io.StringIO()
    with exclusive(folder.lock, lambda: None):
        assert not execute(tmp_path, request(), count, cores=1, stream=heard, waits=False)
    assert (heard.getvalue(), folder.done.exists()) == ("", False)
    assert execute(tmp_path, request(), count, cores=1, stream=heard, waits=False)


def test_a_waiting_duplicate_takes_over_from_a_killed_one(tmp_path: Path, folder: StageFolder) -> None:
    first = start(tmp_path, EPISODE_SECONDS="2")
    wait_for(lambda: folder.work.is_dir() and len(list(folder.work.iterdir())) >= 1)
    second = start(tmp_path)
    assert "waits: another process works on it" in (second.stderr.readline() if second.stderr else "")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert finish(second) == "ran"


@pytest.mark.parametrize("write", ["1", "2", "3"])
def test_killed_while_sealing(write: str, tmp_path: Path, folder: StageFolder) -> None:
    process = start(tmp_path, "die_while_sealing", DIE_AT_WRITE=write)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not folder.done.exists()
    assert finish(start(tmp_path)) == ("ran" if write != "3" else "found it done")
    assert episodes(folder) == [str(episode) for episode in range(EPISODES)]
    assert not folder.work.exists()


def run(root: Path, *, inputs: tuple[Input, ...] = ()) -> bool:
    return execute(root, request(inputs=inputs), count, cores=1, stream=io.StringIO())


def test_done_deleted_by_snakemake_comes_back_without_a_run(tmp_path: Path, folder: StageFolder) -> None:
    assert run(tmp_path)
    sealed = folder.done.read_bytes()
    folder.done.unlink()
    assert not run(tmp_path)
    assert folder.done.read_bytes() == sealed


@pytest.mark.parametrize("text", ["", "{", '{"stage": "policy"}'])
def test_torn_done_is_not_done(text: str, tmp_path: Path, folder: StageFolder) -> None:
    run(tmp_path)
    folder.done.write_text(text)
    assert not run(tmp_path)
    assert read_done(folder.done) is not None


def test_both_records_torn_means_run_again(tmp_path: Path, folder: StageFolder) -> None:
    run(tmp_path)
    folder.done.write_text("{")
    folder.seal.write_text("{")
    assert run(tmp_path)


def test_done_and_artifact_removed_means_run_again(tmp_path: Path, folder: StageFolder) -> None:
    run(tmp_path)
    folder.done.unlink()
    (folder.artifact / "episodes.txt").unlink()
    assert run(tmp_path)
    assert len(episodes(folder)) == EPISODES


LEFTOVERS = (".episodes.txt.7.0123abcd.tmp", "sub/.shard.npy.123.89abcdef.tmp")


def test_leftovers_of_a_killed_attempt_are_not_sealed(tmp_path: Path, folder: StageFolder) -> None:
    for place in (folder.artifact, folder.work):
        for name in LEFTOVERS:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("half")
    left_in_work: list[str] = []

    def look(spec: object, context: StageContext) -> Facts:
        left_in_work.extend(path.name for path in context.work.rglob("*.tmp"))
        return count(spec, context)

    execute(tmp_path, request(), look, cores=1, stream=io.StringIO())
    assert left_in_work == []
    record = read_done(folder.done)
    assert record is not None
    assert list(record.files) == ["episodes.txt"]


def test_leftovers_of_a_killed_worker_are_not_sealed(tmp_path: Path, folder: StageFolder) -> None:
    def litter(spec: object, context: StageContext) -> Facts:
        (context.artifact / LEFTOVERS[0]).write_text("half")
        return count(spec, context)

    execute(tmp_path, request(), litter, cores=1, stream=io.StringIO())
    assert [path.name for path in folder.artifact.iterdir()] == ["episodes.txt"]


def test_the_time_of_failed_attempts_counts(tmp_path: Path, folder: StageFolder) -> None:
    def fail(spec: object, context: StageContext) -> Facts:
        time.sleep(0.3)
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            execute(tmp_path, request(), fail, cores=1, stream=io.StringIO())
    stream = io.StringIO()
    execute(tmp_path, request(), count, cores=1, stream=stream)
    found = read_run(folder.run)
    assert found is not None
    assert 0.59 < found.wall_seconds < 10
    assert stream.getvalue().rstrip().endswith(" over 3 attempts")
    assert not folder.seconds.exists()


def test_a_stage_that_leaves_nothing_is_not_sealed(tmp_path: Path, folder: StageFolder) -> None:
    with pytest.raises(RuntimeError, match="wrote nothing"):
        execute(tmp_path, request(), lambda spec, context: {}, cores=1, stream=io.StringIO())
    assert not folder.done.exists()


@pytest.mark.parametrize("content", [None, b"0"])
def test_upstream_must_be_whole(tmp_path: Path, folder: StageFolder, content: bytes | None) -> None:
    """As an interrupted copy by hand leaves it: the record came before the files."""
    execute(tmp_path, request(), count, cores=1, stream=io.StringIO())
    (folder.artifact / "episodes.txt").unlink()
    if content is not None:
        (folder.artifact / "episodes.txt").write_bytes(content)
    reader = request(2, (Input("policy", "policy", folder.path.name),))
    with pytest.raises(UserError, match=r"needs .* which is not whole any more: artifact/episodes\.txt .*`wm resume`"):
        execute(tmp_path, reader, count, cores=1, stream=io.StringIO())


def test_upstream_must_be_sealed_and_arrives_in_order(tmp_path: Path) -> None:
    first, second = request(1), request(2)
    inputs = (
        Input("demos", "policy", second.key),
        Input("demos", "policy", first.key),
        Input("policy", "policy", first.key, "inner"),
    )
    with pytest.raises(UserError, match=r"^needs .* which is not sealed"):
        run(tmp_path, inputs=inputs)
    for each in (first, second):
        execute(tmp_path, each, count, cores=1, stream=io.StringIO())
    seen = {}

    def look(spec: object, context: object) -> dict[str, int]:
        seen.update(context.inputs)  # type: ignore[attr-defined]
        return count(spec, context)  # type: ignore[arg-type]

    execute(tmp_path, request(inputs=inputs), look, cores=1, stream=io.StringIO())
    artifacts = [stage_folder(tmp_path, "policy", each.key).artifact for each in (first, second)]
    assert seen == {"demos": (artifacts[1], artifacts[0]), "policy": (artifacts[0] / "inner",)}


def test_facts_of_numpy_are_sealed_as_numbers(tmp_path: Path, folder: StageFolder) -> None:
    import numpy as np

    def facts(spec: object, context: object) -> dict[str, object]:
        count(spec, context)  # type: ignore[arg-type]
        return {"rate": np.float32(0.5), "path": Path("somewhere")}

    execute(tmp_path, request(), facts, cores=1, stream=io.StringIO())
    record = read_done(folder.done)
    assert record is not None
    assert record.facts == {"rate": 0.5, "path": "somewhere"}
