"""A whole small study: made twice it is the same study, and what is removed of it comes back as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.whole_study import run_study

from world_modality.store.files import files_below
from world_modality.store.layout import StageFolder

LIMIT_S = 1800.0

# Real simulator, real training, real rollouts; too short for anything to be learned.
STUDY = """
study: again
suite: libero_spatial
tasks: [0]
simulator: {assets: STAND_INS, render: fast, horizon: 30}
data:
  source: scripted
  demonstrations: {per_task: 2, init_states: 0-3, noise: 0.0, max_steps: 280}
  relabel: {per_task: 1, init_states: 0-3, max_steps: 40}
encoder: {kind: vjepa2, source: embedded, frames: 2, image_size: 32}
world: {context: 2, prediction_horizon: 2, heads: 2, prophet_layers: 1, prophet_width: 32}
policy: {source: embedded, name: smolvla-tiny}
training: {steps: 4, batch_size: 4, lr: 1e-4}
arms:
  E0: {memory: disabled}
  E2: {memory: pred, ablations: [random]}
rollouts: {init_states: 30-49, episodes: 2, num_steps: 2, n_action_steps: 8, videos: {first: 1}}
""".replace("STAND_INS", str(STAND_INS))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of every sealed result, and its record."""
    found: dict[str, bytes] = {}
    for done in (folder / "results").glob("*/*/DONE.json"):
        where = done.parent.relative_to(folder / "results").as_posix()
        found[f"{where}/DONE.json"] = done.read_bytes()
        files = files_below(StageFolder(done.parent).artifact)
        found |= {f"{where}/{name}": path.read_bytes() for name, path in files}
    return found


def different(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run_study(folder, STUDY, LIMIT_S, cores=2, hash_seed=1)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
def test_another_hash_seed_other_cores_and_another_folder_make_the_same_study(finished: Path, tmp_path: Path) -> None:
    run_study(tmp_path / "else" / "where", STUDY, LIMIT_S, cores=1, hash_seed=2)
    assert different(contents(finished), contents(tmp_path / "else" / "where")) == []


def removals(finished: Path) -> Iterator[tuple[Path, ...]]:
    """One stage of every kind alone, and neighbours in the order of the data's way in pairs."""
    kinds = ("policy", "encoder", "demos", "relabel", "dataset", "latents", "train", "rollout", "videos", "report")
    first = [min((finished / "results" / kind).iterdir()) for kind in kinds]
    yield from ((stage,) for stage in first)
    yield from pairwise(first)
    yield first[kinds.index("dataset")], first[kinds.index("train")]


@pytest.mark.slow
@pytest.mark.timeout(20 * LIMIT_S)
def test_whatever_is_removed_comes_back_and_the_report_stays_the_same(finished: Path) -> None:
    whole = contents(finished)
    for number, gone in enumerate(removals(finished)):
        for stage in gone:
            shutil.rmtree(stage)
        run_study(finished, STUDY, LIMIT_S, cores=1 + number % 2, hash_seed=3 + number)
        told = ", ".join(stage.parent.name for stage in gone)
        assert different(whole, contents(finished)) == [], f"after {told} was removed"
