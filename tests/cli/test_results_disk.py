"""A stage whose results' disk runs full, turns read-only or vanishes: one sentence, nothing sealed, and it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disks import mount, small_disk
from support.small_study import graph_of

from world_modality.store.done import read_done
from world_modality.store.layout import stage_folder
from world_modality.study.snapshot import write_snapshot

TESTS = Path(__file__).parents[1]


class OneStage:
    """A study's first stage, with results on a small disk."""

    def __init__(self, folder: Path, disk: Path) -> None:
        self.folder, self.disk, self.root = folder, disk, disk / "results"
        self.graph = graph_of(folder)
        self.plan = write_snapshot(self.root, self.graph)
        self.request = self.graph.stages[self.graph.names["policy"]]
        self.stage = stage_folder(self.root, "policy", self.request.key)

    def run(self, runners: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "world_modality.cli.main", "stage", "policy", self.request.key]
        given = {
            "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
            "WORLD_MODALITY_RUNNERS": f"support.fake_stages:{runners}",
            "WORLD_MODALITY_SNAPSHOT": str(self.plan),
            "WORLD_MODALITY_RESULTS": str(self.root),
        }
        found = os.environ | given | environment
        return subprocess.run(command, cwd=self.folder, env=found, capture_output=True, text=True, check=False)

    def assert_failed(self, result: subprocess.CompletedProcess[str], *told: str) -> None:
        assert result.returncode == 1
        last = result.stderr.splitlines()[-1]
        assert all(part in last for part in ("policy: ", *told, "the rest goes on where it was")), result.stderr
        assert "Traceback" not in result.stderr

    def assert_goes_on(self, runners: str) -> None:
        """The next run, with room again, seals the whole stage."""
        result = self.run(runners, FAKE_STAGE_CALM="1")
        assert result.returncode == 0, result.stderr
        record = read_done(self.stage.done)
        assert record is not None
        assert set(record.files) == {"result.json"}
        assert len(json.loads((self.stage.artifact / "result.json").read_text())["digest"]) == 64


@pytest.fixture
def one(tmp_path: Path) -> Iterator[OneStage]:
    with small_disk(tmp_path / "disk", 4000) as disk:
        yield OneStage(tmp_path, disk)


def test_a_disk_that_runs_full(one: OneStage) -> None:
    result = one.run("FILLING")
    one.assert_failed(result, f"the disk of the results folder {one.root} is full")
    assert not one.stage.done.exists()
    assert not one.stage.seal.exists()
    one.assert_goes_on("FILLING")


def test_a_disk_that_turns_read_only(one: OneStage) -> None:
    script = one.folder / "read-only.sh"  # laid over it, since a disk on which files are open is not turned by hand
    script.write_text(f"set -e\nmount --bind {one.disk} {one.disk}\nmount -o remount,bind,ro {one.disk}\n")
    result = one.run("LOSING", FAKE_STAGE_COMMAND=f"sh {script}")
    one.assert_failed(result, f"the results folder {one.root} is read-only")
    again = one.run("LOSING")  # from the start: nothing can be begun there
    one.assert_failed(again, f"the results folder {one.root} is read-only")
    assert not one.stage.done.exists()
    assert subprocess.run(["umount", str(one.disk)], check=False).returncode == 0
    one.assert_goes_on("LOSING")


def test_a_disk_that_vanishes(one: OneStage, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    assert mount("--bind", str(one.disk), str(copy)).returncode == 0  # the disk itself lives on
    try:
        result = one.run("LOSING", FAKE_STAGE_COMMAND=f"umount -l {one.disk}")
        one.assert_failed(result, f"the results folder {one.root} is gone")
        assert not one.stage.done.exists()
        assert mount("--bind", str(copy), str(one.disk)).returncode == 0
        assert not one.stage.done.exists()
        one.assert_goes_on("LOSING")
    finally:
        subprocess.run(["umount", "-l", str(copy)], capture_output=True, check=False)
