"""A dataset that is made again, under another seed of Python's hashes, is the same dataset: its latents stay valid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lerobot.datasets import dataset_metadata
from stand_ins import STAND_INS
from support.data_stages import assembled_dataset
from support.whole_study import run_study

from world_modality.data.episodes import dataset_fingerprint

LIMIT_S = 1800.0

# Real stages, as few and short as a study can have.
STUDY = """
study: short
suite: libero_spatial
tasks: [0]
simulator: {assets: STAND_INS, render: fast, horizon: 20}
data: {source: scripted, demonstrations: {per_task: 2, init_states: 0-3, noise: 0.0, max_steps: 220}}
encoder: {kind: vjepa2, source: embedded, frames: 2, image_size: 32}
world: {context: 2, prediction_horizon: 2, heads: 2, prophet_layers: 1, prophet_width: 32}
policy: {source: embedded, name: smolvla-tiny}
training: {steps: 2, batch_size: 2}
arms:
  E0: {memory: disabled}
  E2: {memory: pred}
rollouts: {init_states: 30-31, episodes: 1, num_steps: 1, n_action_steps: 8}
""".replace("STAND_INS", str(STAND_INS))


def test_the_order_of_lerobots_statistics_does_not_matter(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aggregate = dataset_metadata.aggregate_stats
    found = {}
    for backwards in (False, True):

        def ordered(statistics: Any, backwards: bool = backwards) -> dict[str, Any]:
            return dict(sorted(aggregate(statistics).items(), reverse=backwards))

        monkeypatch.setattr(dataset_metadata, "aggregate_stats", ordered)
        found[backwards] = dataset_fingerprint(assembled_dataset(place / str(backwards)))
    assert found[False] == found[True]


@pytest.mark.slow
def test_another_hash_seed_makes_the_same_files(place: Path) -> None:
    script = (
        "import pathlib, sys\nfrom support import data_stages\ndata_stages.assembled_dataset(pathlib.Path(sys.argv[1]))"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        subprocess.run([sys.executable, "-c", script, seed], cwd=place, env=environment, check=True)
    assert dataset_fingerprint(place / "0" / "artifact") == dataset_fingerprint(place / "1" / "artifact")


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_a_study_whose_dataset_was_removed_goes_on(place: Path) -> None:
    def sealed() -> set[str]:
        return {"/".join(path.parts[-3:-1]) for path in (place / "results").glob("*/*/DONE.json")}

    run_study(place, STUDY, LIMIT_S, cores=2, hash_seed=0)
    complete = sealed()
    (dataset,) = (place / "results" / "dataset").iterdir()
    (training,) = (place / "results" / "by-name" / "short" / "train").glob("E2*")
    for stage in (dataset, training.resolve().parent):
        shutil.rmtree(stage)
    assert len(sealed()) == len(complete) - 2
    run_study(place, STUDY, LIMIT_S, cores=2, hash_seed=1)
    assert sealed() == complete
