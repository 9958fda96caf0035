"""A training that is killed again and again ends with the weights of one that was left alone, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.killed_training import run_cells

from world_modality.store.files import files_below
from world_modality.training.metrics import read_metrics


def assert_equal_results(place: Path) -> None:
    peaceful, killed = place / "peaceful" / "artifact", place / "killed" / "artifact"
    one, other = (load_file(artifact / "pretrained_model" / "model.safetensors") for artifact in (peaceful, killed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = read_metrics(peaceful / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    files = [dict(files_below(artifact)) for artifact in (peaceful, killed)]
    assert files[0].keys() == files[1].keys()
    different = [name for name, path in files[0].items() if path.read_bytes() != files[1][name].read_bytes()]
    assert different == []


@pytest.mark.parametrize(
    "cell",
    [
        "pred:late:1",
        pytest.param("pred:late:2", marks=pytest.mark.slow),
        pytest.param("pred:late:1:pi0", marks=pytest.mark.slow),
    ],
)
def test_killed_training_equals_uninterrupted(tmp_path: Path, cell: str) -> None:
    run_cells(tmp_path, cell, steps=12, kills=1)
    assert_equal_results(tmp_path / cell)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        "disabled:late:1",
        "pred:late:1",
        "shuffle:late:1",
        "nearest_other:late:1",
        "aligned:late:1",
        "scheduled:late:1",
        "pred:layers:1",
        "learned:prefix_cross:1",
        "pred:layers:1:pi0",
    ],
)
def test_many_kills(tmp_path: Path, cell: str) -> None:
    run_cells(tmp_path, cell, steps=40, kills=12)
    assert_equal_results(tmp_path / cell)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["pred:late:2:torchrun", "zero:suffix:2:torchrun"])
def test_many_kills_of_a_shared_training(tmp_path: Path, cell: str) -> None:
    run_cells(tmp_path, cell, steps=24, kills=5)
    assert_equal_results(tmp_path / cell)
