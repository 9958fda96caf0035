"""Stage "prophet": a Prophet of training episodes alone, equal when made again, which a policy starts from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.data_stages import encoder_spec, stage_context
from support.tiny_dataset import build_tiny_dataset

from world_modality.data.episodes import dataset_fingerprint, held_out_episodes, read_episode_table
from world_modality.errors import UserError
from world_modality.latents.cache import write_cache
from world_modality.memory.fitted_prophet import FIT, WEIGHTS, read_prophet
from world_modality.memory.prophet import Prophet
from world_modality.prophet.judging import PROPHET
from world_modality.prophet.stage import run
from world_modality.store.stage import StageContext
from world_modality.study.prophet import ProphetSpec

SPEC = ProphetSpec(
    cameras=("image",),
    context=3,
    prediction_horizon=3,
    heads=2,
    prophet_layers=1,
    prophet_width=16,
    hypotheses=1,
    delta=True,
    prophet_rank=None,
    prophet_steps=60,
    step_weights=(),
    seed=0,
    threads=1,
    held_out=0.2,
    device="cpu",
)
DIM = 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_dataset(tmp_path_factory.mktemp("data") / "set", episodes=8, frames=12)


def write_latents(folder: Path, dataset: Path, spoilt: tuple[int, ...] = ()) -> Path:
    """Random walks as a latents stage writes them; those of ``spoilt`` episodes are something else."""
    table, rng = read_episode_table(dataset), np.random.default_rng(0)
    walks = [np.cumsum(rng.normal(size=(length, 1, DIM)), 0) for length in table.lengths]
    walks = [np.full_like(walk, 77.0) if episode in spoilt else walk for episode, walk in enumerate(walks)]
    folder.mkdir(parents=True)
    write_cache(
        folder,
        (walk.astype(np.float16) for walk in walks),
        (table.frames, 1, DIM),
        camera="image",
        encoder=encoder_spec(),
        dataset_fingerprint=dataset_fingerprint(dataset),
    )
    return folder


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    return write_latents(tmp_path_factory.mktemp("latents") / "image", dataset)


def made(folder: Path, dataset: Path, latents: Path, **settings: Any) -> StageContext:
    context = stage_context(folder, dataset=dataset, latents_image=latents)
    run(SPEC.model_copy(update=settings), context)
    return context


def test_what_it_makes_can_be_read_and_says_how_good_it_is(tmp_path: Path, dataset: Path, latents: Path) -> None:
    artifact = made(tmp_path, dataset, latents).artifact
    assert sorted(file.name for file in artifact.iterdir()) == sorted([WEIGHTS, FIT, PROPHET])
    fitted = read_prophet(artifact)
    prophet = Prophet(fitted.sizes)
    fitted.load_into(prophet)
    assert prophet(torch.zeros(2, 3, 1, DIM)).shape == (2, 1, 3, 1, DIM)
    judged = json.loads((artifact / PROPHET).read_text())
    assert judged["episodes"] == list(held_out_episodes(read_episode_table(dataset).tasks, SPEC.held_out))
    of_each = judged["by_episode"]["predictors"]["prophet"]["skill"]
    assert len(of_each) == len(judged["episodes"]) == len(judged["by_episode"]["episodes"])
    assert all(len(steps) == 3 for steps in of_each)
    facts = json.loads((artifact / FIT).read_text())
    assert facts["rank"] == DIM
    assert all(0 <= share <= 1 for share in facts["residual_share"])


def test_it_is_equal_when_it_is_made_again_from_other_work(tmp_path: Path, dataset: Path, latents: Path) -> None:
    first = made(tmp_path / "first", dataset, latents)
    (first.work / "linear.pt").write_bytes(b"spoilt")
    before = {file.name: file.read_bytes() for file in first.artifact.iterdir()}
    run(SPEC, first)
    second = made(tmp_path / "second", dataset, latents)
    for again in (first, second):
        assert {file.name: file.read_bytes() for file in again.artifact.iterdir()} == before
    assert made(tmp_path / "third", dataset, latents, seed=1).artifact.joinpath(FIT).is_file()


def test_held_out_episodes_change_its_judgement_and_nothing_else(tmp_path: Path, dataset: Path, latents: Path) -> None:
    hidden = held_out_episodes(read_episode_table(dataset).tasks, SPEC.held_out)
    other = write_latents(tmp_path / "spoilt", dataset, hidden)
    one, two = (made(tmp_path / name, dataset, cache) for name, cache in (("a", latents), ("b", other)))
    assert (one.artifact / WEIGHTS).read_bytes() == (two.artifact / WEIGHTS).read_bytes()
    assert (one.artifact / PROPHET).read_bytes() != (two.artifact / PROPHET).read_bytes()


def test_a_damaged_one_is_refused(tmp_path: Path, dataset: Path, latents: Path) -> None:
    artifact = made(tmp_path, dataset, latents).artifact
    (artifact / WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(UserError, match="no Prophet that can be read"):
        read_prophet(artifact)
    shutil.rmtree(artifact)
    with pytest.raises(UserError, match="no Prophet that can be read"):
        read_prophet(artifact)


def test_one_of_other_sizes_is_refused(tmp_path: Path, dataset: Path, latents: Path) -> None:
    fitted = read_prophet(made(tmp_path, dataset, latents).artifact)
    sizes = {**vars(fitted.sizes), "context": 2}
    with pytest.raises(UserError, match=r"context 2 \(the Prophet has 3\)"):
        fitted.load_into(Prophet(type(fitted.sizes)(**sizes)))
