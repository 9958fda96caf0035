"""A training that is killed again and again ends with the weights of one that was left alone, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.tiny_cell import build_inputs

from world_modality.training.metrics import read_metrics

REPOSITORY = Path(__file__).parents[2]
TIMED = ("update_s", "dataloading_s", "samples_per_s")


def train_with_kills(root: Path, *, steps: int, seed: int, kills: int) -> int:
    command = [sys.executable, "-m", "support.killed_training", str(root), str(steps), str(seed), str(kills)]
    search = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": search})
    assert run.returncode == 0, run.stderr[-3000:]
    return int(run.stdout.split()[-1])


def assert_equal_results(root: Path, steps: int) -> None:
    peaceful, killed = root / "peaceful" / "artifact", root / "killed" / "artifact"
    one = load_file(peaceful / "pretrained_model" / "model.safetensors")
    other = load_file(killed / "pretrained_model" / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = [
        [{key: value for key, value in line.items() if key not in TIMED} for line in read_metrics(a / "metrics.jsonl")]
        for a in (peaceful, killed)
    ]
    assert lines[0] == lines[1]
    assert [line["step"] for line in lines[0]] == list(range(1, steps + 1))
    assert (peaceful / "arm.json").read_text() == (killed / "arm.json").read_text()


def test_killed_training_equals_uninterrupted(tmp_path: Path) -> None:
    build_inputs(tmp_path)
    assert train_with_kills(tmp_path, steps=16, seed=1, kills=3) == 3
    assert_equal_results(tmp_path, 16)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_many_kills(tmp_path: Path, seed: int) -> None:
    build_inputs(tmp_path)
    assert train_with_kills(tmp_path, steps=40, seed=seed, kills=12) == 12
    assert_equal_results(tmp_path, 40)
