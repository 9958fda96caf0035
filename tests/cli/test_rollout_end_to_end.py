"""`wm rollout` as it is typed: real simulators, LeRobot's own policies with random weights, a dozen control steps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.other_policies import SIZE, other_checkpoint
from support.pictures import see_pictures_of
from support.tiny_checkpoints import plain_checkpoint

from world_modality.benchmarks.libero.assets import ASSETS
from world_modality.rollout.episodes import Episode
from world_modality.rollout.records import read_records

ORIGINAL = Path(__file__).resolve().parents[2].parent / "shared" / "libero_assets"
SMALLEST = {
    "episodes": 1,
    "init-states": "30",
    "horizon": 12,
    "n-action-steps": 4,
    "render": "fast",
    "settle-steps": 1,
    "batch": 2,
    "cores": 1,
}
STARTS = ("libero_spatial task 0 ", "libero_spatial all ", "records ")


def wm_rollout(folder: Path, checkpoint: Path, **changes: object) -> subprocess.CompletedProcess[str]:
    flags = {
        "policy.path": checkpoint,
        "output": "out",
        **SMALLEST,
        **{n.replace("_", "-"): v for n, v in changes.items()},
    }
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    command = [sys.executable, "-m", "world_modality.cli.main", "rollout", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def checkpoint_of(kind: str, folder: Path) -> Path:
    if kind == "act":
        return other_checkpoint("act", folder)
    see_pictures_of(plain_checkpoint(folder), SIZE)
    return folder


@pytest.mark.parametrize(("kind", "own"), [("act", {}), ("smolvla", {"num_steps": 1, "videos": "first=1"})])
def test_a_checkpoint_is_rolled_out(tmp_path: Path, kind: str, own: dict[str, object]) -> None:
    checkpoint = checkpoint_of(kind, tmp_path / kind)
    done = wm_rollout(tmp_path, checkpoint, tasks="0", assets=str(STAND_INS), **own)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()  # among what libraries print
    task, overall, where = (next(line for line in lines if line.startswith(start)) for start in STARTS)
    assert task.split()[:7] == ["libero_spatial", "task", "0", "0/1", "0%", "[0,", "79]"]
    assert "pick up the black bowl" in task
    assert overall.endswith(f"(assets {ASSETS.digest(str(STAND_INS))})")
    assert where == "records      out/libero_spatial.jsonl"
    (record,) = read_records(tmp_path / "out" / "libero_spatial.jsonl")
    assert (record.episode, record.steps, record.replans) == (Episode(0, 30, 0), 12, 3)
    assert (record.memory, record.trained_memory) == ("disabled", "disabled")
    note = json.loads((tmp_path / "out" / "libero_spatial" / "evaluation.json").read_text())
    assert (note["horizon"], note["batch"], note["render"]) == (12, 2, "fast")
    videos = [path.name for path in (tmp_path / "out").rglob("*.mp4")]
    assert videos == (["task0_init30_repeat0.mp4"] if "videos" in own else [])
    assert "1/1 episodes" in done.stderr
    assert "; simulators " in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not ORIGINAL.is_dir(), reason="assets of several suites are not on this machine")
def test_two_suites_each_with_records_and_videos_of_its_own(tmp_path: Path) -> None:
    checkpoint = checkpoint_of("act", tmp_path / "act")
    suites = ("libero_spatial", "libero_object")
    done = wm_rollout(
        tmp_path, checkpoint, suite=",".join(suites), tasks="0-1", assets=ORIGINAL, videos="failures=1", cores=2
    )
    assert done.returncode == 0, done.stderr
    for suite in suites:
        records = read_records(tmp_path / "out" / f"{suite}.jsonl")
        assert [(record.suite, record.episode) for record in records] == [(suite, Episode(t, 30, 0)) for t in (0, 1)]
        assert [p.name for p in (tmp_path / "out" / "videos" / suite).iterdir()] == ["task0_init30_repeat0.mp4"]
        assert sum(line.startswith(f"{suite} all ") and " 0/2 " in line for line in done.stdout.splitlines()) == 1
    again = wm_rollout(tmp_path, checkpoint, suite=",".join(suites), tasks="0-1", assets=ORIGINAL, cores=2)
    assert (again.returncode, again.stdout) == (0, done.stdout)
