"""A result that is made again is the same, to the last byte: files that are equal by key are equal by content."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.made_again import HANGS_AFTER, KINDS

from world_modality.store.done import read_run
from world_modality.store.files import files_below
from world_modality.store.layout import StageFolder

TESTS = Path(__file__).parents[1]


def start(root: Path, hash_seed: int, cores: int) -> subprocess.Popen[bytes]:
    root.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
        "PYTHONHASHSEED": str(hash_seed),
        "OMP_NUM_THREADS": str(cores),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "support.made_again", str(root), str(cores)],
        env=environment,
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=(root / "log.txt").open("ab"),
    )


def finish(process: subprocess.Popen[bytes], root: Path) -> None:
    """One that hangs says where, and ends by itself."""
    assert process.wait(2 * HANGS_AFTER) == 0, (root / "log.txt").read_text()[-8000:]


def kill_amid_encoding(process: subprocess.Popen[bytes], root: Path) -> None:
    end = time.monotonic() + 300
    while not list(root.glob("latents/*/work/shards/*.npy")) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.002)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()


def contents(root: Path) -> dict[str, bytes]:
    """Every file of every sealed result, and its record."""
    found = {}
    for done in root.glob("*/*/DONE.json"):
        artifact = StageFolder(done.parent).artifact
        where = f"{done.parent.parent.name}/{done.parent.name}"
        found[f"{where}/DONE.json"] = done.read_bytes()
        found |= {f"{where}/{name}": path.read_bytes() for name, path in files_below(artifact)}
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_kind_of_stage_made_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """Under another hash seed, with other cores, in another folder, after a kill."""
    one, two = tmp_path / "one", tmp_path / "elsewhere" / "two"
    calm = start(one, 1, 2)
    killed = start(two, 2, 1)
    kill_amid_encoding(killed, two)
    finish(start(two, 3, 1), two)
    finish(calm, one)
    first, second = contents(one), contents(two)
    assert {name.split("/")[0] for name in first} >= set(KINDS)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    (latents,) = two.glob("latents/*")
    run = read_run(StageFolder(latents).run)
    assert run is not None
    assert run.attempts == 2
