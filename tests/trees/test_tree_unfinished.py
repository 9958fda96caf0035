"""What a stage in the making has so far: copied while it goes on, and gone on with only where nobody has begun it."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.small_trees import STAGE, request_of, sealed

from world_modality.store.execute import execute
from world_modality.store.files import write_atomically
from world_modality.store.layout import stage_folder
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.trees import unfinished
from world_modality.trees.remote import Remote, open_remote
from world_modality.trees.sync import Syncing


class Stopped(Exception):
    pass


def counting(upto: int) -> Any:
    """A runner that writes a line per step and stops before step ``upto``; with 5 it is done."""

    def run(spec: Any, context: StageContext) -> dict[str, int]:
        journal = context.work / "records" / "records-1.jsonl"
        journal.parent.mkdir(exist_ok=True)
        (context.work / "leases").mkdir(exist_ok=True)
        (context.work / "leases" / "one.lease").write_text("{}")
        (context.work / "last").unlink(missing_ok=True)
        (context.work / "last").symlink_to("records")
        done = journal.read_text().count("\n") if journal.exists() else 0
        for step in range(done, upto):
            with journal.open("a") as file:
                file.write(f"{step}\n")
        if upto < 5:
            raise Stopped
        (context.artifact / "steps.txt").write_text(f"{journal.read_text()}begun at {done}\n")
        return {}

    return run


def begin(root: Path, upto: int) -> Path:
    request = request_of(7)
    with pytest.raises(Stopped):
        execute(root, request, counting(upto), cores=1, stream=io.StringIO())
    return stage_folder(root, STAGE, request.key).path


def finish(root: Path) -> str:
    request = request_of(7)
    assert execute(root, request, counting(5), cores=1, stream=io.StringIO())
    return (stage_folder(root, STAGE, request.key).artifact / "steps.txt").read_text()


def syncing(depot: str, root: Path) -> Syncing:
    return Syncing(open_remote(depot), root, None, Progress("copy", stream=sys.stderr))


def test_another_tree_goes_on_where_one_was(any_depot: str, tmp_path: Path) -> None:
    one, two, depot = tmp_path / "one", tmp_path / "two", any_depot
    begun = begin(one, 2)
    pushing = syncing(depot, one)
    assert pushing.push().unfinished == 1
    assert pushing.push().unfinished == 0  # nothing new
    pulling = syncing(depot, two)
    assert pulling.pull().unfinished == 1
    copy = two / begun.relative_to(one)
    assert (copy / "work" / "records" / "records-1.jsonl").read_text() == "0\n1\n"
    assert not (copy / "work" / "leases").exists()
    assert not (copy / "work" / "last").is_symlink()
    assert pulling.pull().unfinished == 0
    begin(one, 3)
    assert pushing.push().unfinished == 1
    assert pulling.pull().unfinished == 1  # nobody has begun it here, so it follows
    assert finish(two).endswith("begun at 3\n")
    assert len((copy / "attempts.txt").read_text().splitlines()) == 3


def test_what_is_begun_here_is_never_replaced(depot: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    begin(one, 3)
    syncing(depot, one).push()
    begun = begin(two, 1)
    assert syncing(depot, two).pull().unfinished == 0
    assert (begun / "work" / "records" / "records-1.jsonl").read_text() == "0\n"


def test_a_sealed_stage_leaves_no_copy_of_what_it_was(any_depot: str, tmp_path: Path) -> None:
    one, depot, remote = tmp_path / "one", any_depot, open_remote(any_depot)
    begin(one, 3)
    syncing(depot, one).push()
    assert remote.files("unfinished/")
    finish(one)
    assert syncing(depot, one).push().sealed == 1
    assert remote.files("unfinished/") == {}
    assert syncing(depot, tmp_path / "two").pull().unfinished == 0
    assert sealed(tmp_path / "two") == sealed(one)


@pytest.mark.parametrize("name", ["../../escaped", "work/../../../escaped", "/escaped", "DONE.json", "lock"])
def test_a_copy_that_would_write_elsewhere_is_passed_over(
    remote: Remote, depot: str, tmp_path: Path, name: str
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    begin(one, 3)
    syncing(depot, one).push()
    (note,) = (each for each in remote.files("unfinished/") if each.endswith(".json"))
    told = json.loads(remote.read(note) or b"")
    told["files"][name] = next(iter(told["files"].values()))
    remote.write(note, json.dumps(told).encode())
    assert syncing(depot, two).pull().unfinished == 0
    assert not list(tmp_path.rglob("escaped"))


def test_a_copy_whose_files_were_changed_is_passed_over(remote: Remote, depot: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    begin(one, 3)
    syncing(depot, one).push()
    blobs = {name: size for name, size in remote.files("unfinished/").items() if not name.endswith(".json")}
    changed = max(blobs, key=lambda name: blobs[name])
    original = remote.read(changed) or b""
    remote.write(changed, b"x" * len(original))
    assert syncing(depot, two).pull().unfinished == 0
    remote.write(changed, original)
    assert syncing(depot, two).pull().unfinished == 1


def test_what_is_written_meanwhile_is_copied_whole(tmp_path: Path) -> None:
    """A file that is replaced at every moment, one that grows, and a folder that is renamed when it is whole."""
    one, two, depot = tmp_path / "one", tmp_path / "two", tmp_path / "depot"
    depot.mkdir()
    work = begin(one, 1) / "work"
    ended = threading.Event()

    def go_on() -> None:
        for number in itertools.count():
            if ended.is_set():
                return
            state = {"number": number, "padding": "x" * (number % 7) * 999}
            write_atomically(work / "state.json", json.dumps(state).encode())
            with (work / "records" / "records-1.jsonl").open("a") as file:
                file.write(f"{number}\n")
            (work / "begun").mkdir()
            for name in ("a", "b"):
                (work / "begun" / name).write_text(str(number))
            (work / "begun").rename(work / f"checkpoint-{number}")
            if number > 2:
                shutil.rmtree((work / f"checkpoint-{number - 2}").rename(work / "discarded"))  # as trainings do

    worker = threading.Thread(target=go_on)
    worker.start()
    try:
        pushing, pulling, copied = syncing(str(depot), one), syncing(str(depot), two), 0
        end = time.monotonic() + 60
        while copied < 10:
            assert time.monotonic() < end
            pushing.push()
            copied += pulling.pull().unfinished
            for copy in two.glob(f"{STAGE}/*/work"):
                state = json.loads((copy / "state.json").read_text()) if (copy / "state.json").exists() else {}
                assert state.get("padding", "") == "x" * (state.get("number", 0) % 7) * 999
                for checkpoint in copy.glob("checkpoint-*"):
                    number = checkpoint.name.removeprefix("checkpoint-")
                    assert {path.name: path.read_text() for path in checkpoint.iterdir()} == {"a": number, "b": number}
    finally:
        ended.set()
        worker.join()


def test_what_changes_under_the_copier_is_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, depot = tmp_path / "one", tmp_path / "two", tmp_path / "depot"
    depot.mkdir()
    work = begin(one, 1) / "work"
    for name in ("a", "b"):
        (work / "begun" / name).parent.mkdir(exist_ok=True)
        (work / "begun" / name).write_text(name)
    (work / "state.json").write_bytes(b"of the old one")
    copy, changes = unfinished.copy_and_digest, ["state.json", "a", "records-1.jsonl"]

    def changing(source: Path, target: Path, size: int) -> str:
        if source.name in changes:
            changes.remove(source.name)
            if source.name == "state.json":
                write_atomically(source, b"a longer one in its place")
            elif source.name == "a":
                (work / "begun").rename(work / "whole")
            else:
                with source.open("a") as file:
                    file.write("9\n")
        return copy(source, target, size)

    monkeypatch.setattr(unfinished, "copy_and_digest", changing)
    assert syncing(str(depot), one).push().unfinished == 1
    assert changes == []
    assert syncing(str(depot), two).pull().unfinished == 1
    (there,) = two.glob(f"{STAGE}/*/work")
    assert (there / "state.json").read_bytes() == b"a longer one in its place"
    assert [path.name for path in sorted((there / "whole").iterdir())] == ["a", "b"]
    assert not (there / "begun").exists()
    assert (there / "records" / "records-1.jsonl").read_text() in ("0\n", "0\n9\n")
