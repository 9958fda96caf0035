"""A whole small study, killed with ``kill -9`` again and again, ends as one that nobody touched."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLS = 10
SEED = 20
LIMIT_S = 900.0  # a study that needs longer hangs

# Real simulator, real training, real rollouts of the embedded base policy, which solves some episodes and fails others.
STUDY = """
study: reduced
suite: libero_spatial
tasks: [0]
simulator: {assets: package, render: fast, horizon: 160}
data:
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-3, noise: 0.0, max_steps: 220}
  relabel: {per_task: 1, init_states: 0-3}
encoder: {kind: vjepa2, source: embedded, frames: 2, image_size: 32}
world: {context: 2, prediction_horizon: 2, heads: 2, prophet_layers: 1, prophet_width: 32}
policy: {source: embedded, name: smolvla-tiny}
training: {steps: 12, batch_size: 4, lr: 1e-4}
arms:
  E0: {memory: disabled}
  E2: {memory: pred, ablations: [random]}
rollouts: {init_states: 30-49, episodes: 3, num_steps: 2, n_action_steps: 8}
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The study in a process group of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "world_modality.cli.main", "run", "--study", "study.yaml", "--cores", "2"],
        cwd=folder,
        stdout=(folder / "out.txt").open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(folder: Path) -> float:
    """Run to the end; seconds it took."""
    begun = time.monotonic()
    assert start(folder).wait(LIMIT_S) == 0, (folder / "out.txt").read_text()[-4000:]
    return time.monotonic() - begun


def sealed(folder: Path) -> dict[str, bytes]:
    """Every sealed stage's note of when and how it was made."""
    found = [path.parent / "volatile" / "run.json" for path in sorted((folder / "results").glob("*/*/DONE.json"))]
    return {f"{path.parent.parent.name}/{path.parent.name}": path.read_bytes() for path in found}


def finished_episodes(folder: Path) -> dict[tuple[str, int, int, int], float]:
    """Seconds that each whole record's episode took, by (cell, task, init state, repeat); no episode appears twice."""
    episodes: dict[tuple[str, int, int, int], float] = {}
    cells = folder / "results" / "rollout"
    unfinished = [path for cell in cells.glob("*") for path in (cell / "work" / "records").glob("*.jsonl")]
    for path in sorted([*unfinished, *cells.glob("*/volatile/timing.jsonl")]):
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                continue
            record = json.loads(line)
            key = (path.relative_to(cells).parts[0], record["task"], record["init_state"], record["repeat"])
            seconds = record.get("timing", record)["wall_s"]
            assert episodes.get(key, seconds) == seconds, f"episode {key} ran twice"
            episodes[key] = seconds
    return episodes


def outcomes(folder: Path) -> dict[tuple[str, int, int, int], tuple[bool, int, float]]:
    """What every episode came to, apart from the time it took."""
    result = {}
    for path in sorted((folder / "results" / "rollout").glob("*/artifact/records.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            key = (path.parent.parent.name, record["task"], record["init_state"], record["repeat"])
            assert key not in result
            result[key] = (record["success"], record["steps"], record["episode_return"])
    return result


def rates(folder: Path) -> list[dict[str, object]]:
    (path,) = (folder / "results" / "report").glob("*/artifact/table.json")
    table = json.loads(path.read_text())
    assert table["rates"]
    return list(table["rates"])


@pytest.mark.slow
@pytest.mark.timeout(3 * LIMIT_S)
def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    """Ten kills of the whole process group at random moments, then an uninterrupted reference beside it."""
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
        (folder / "study.yaml").write_text(STUDY)
    duration = finish(calm)

    moments = random.Random(SEED)
    stages: dict[str, bytes] = {}
    episodes: dict[tuple[str, int, int, int], float] = {}
    for _ in range(KILLS):
        process = start(killed)
        time.sleep(moments.uniform(2.0, duration / 6))
        assert process.poll() is None, "the study ended before its tenth kill: it is too short for this test"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(2.0)  # stages that lost their Snakemake notice within a second
        now = sealed(killed)
        assert stages.items() <= now.items(), "a sealed stage ran again"
        seen = finished_episodes(killed)
        assert episodes.items() <= seen.items(), "a finished episode was lost or ran again"
        stages, episodes = now, seen
    finish(killed)

    assert stages.items() <= sealed(killed).items(), "a sealed stage ran again"
    assert episodes.items() <= finished_episodes(killed).items(), "a finished episode ran again"
    assert set(sealed(killed)) == set(sealed(calm))
    assert outcomes(killed) == outcomes(calm)
    assert rates(killed) == rates(calm)
    assert len({success for success, _, _ in outcomes(calm).values()}) == 2, "no episode could have come out otherwise"
