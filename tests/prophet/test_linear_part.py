"""The linear part of a Prophet against the baseline's ridge and a reduced-rank regression written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.latent_episodes import LatentEpisodes, linear_world

from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.baselines import fit_baselines
from world_modality.memory.linear import linear_change
from world_modality.prophet.linear import LinearFit, fit_linear

CONTEXT, HORIZON = 3, 4


@pytest.fixture(scope="module")
def world() -> LatentEpisodes:
    return LatentEpisodes.drawn(linear_world, 15, CONTEXT, HORIZON, seed=1)


def fitted(world: LatentEpisodes, rank: int | None = None, parts: int = 4) -> LinearFit:
    return fit_linear(world.windows, world.training(parts), rank, lambda _done, _of: None)


def test_at_full_rank_it_is_the_baselines_ridge(world: LatentEpisodes) -> None:
    training = world.training()
    ridge = fit_baselines(world.windows, training.frames, training.ahead, training.part == 0)
    found = fitted(world, rank=6)
    history = world.windows(training.frames[:50]).history
    change = linear_change(history, found.whole.read, found.whole.write, alone=found.alone)
    torch.testing.assert_close(history[:, -1:] + change, ridge.predict(history)["ridge"], rtol=1e-4, atol=1e-5)
    assert found.penalties == ridge.penalties


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_at_a_lower_rank_no_map_predicts_closer_to_the_ridge(world: LatentEpisodes, rank: int) -> None:
    """Against the reduced-rank regression by singular values of the fitted values, written out."""
    training = world.training()
    whole, cut = fitted(world, rank=6), fitted(world, rank=rank)
    for k in range(1, HORIZON + 1):
        frames = training.frames[training.ahead >= k]
        history = world.windows(frames).history
        full = linear_change(history, whole.whole.read, whole.whole.write, alone=False)[:, k - 1].flatten(1)
        left, values, right = np.linalg.svd(full.numpy(), full_matrices=False)
        best = (left[:, :rank] * values[:rank]) @ right[:rank]
        found = linear_change(history, cut.whole.read, cut.whole.write, alone=False)[:, k - 1].flatten(1)
        np.testing.assert_allclose(found.numpy(), best, atol=2e-3)
        assert found.numpy().shape == full.numpy().shape


@pytest.mark.parametrize("part", range(5))
def test_no_part_is_predicted_by_a_map_that_was_fitted_on_it(
    world: LatentEpisodes, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("world_modality.memory.ridge.PENALTIES", (1.0,))
    training, before = world.training(), fitted(world, rank=6)
    spoilt = world.latents.copy()
    for episode in np.unique(training.episode[training.part == part]):
        start, end = world.bounds.starts[episode], world.bounds.ends[episode]
        spoilt[start:end] = np.random.default_rng(0).normal(size=spoilt[start:end].shape)
    other = LatentEpisodes(spoilt, world.bounds, CONTEXT, HORIZON)
    found = fitted(other, rank=6)
    untouched = [torch.equal(one.read, two.read) for one, two in zip(found.without, before.without, strict=True)]
    assert untouched == ([True] * 5 if part == 0 else [each == part for each in range(5)])
    assert not torch.equal(found.whole.read, before.whole.read)


def test_the_rank_is_the_one_that_errs_least_on_the_episodes_that_choose() -> None:
    """Of latents of 24 numbers that two hidden ones drive, next to much noise; errors written out."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        hidden = np.cumsum(rng.normal(size=(40, 2)), 0)
        mixed = hidden @ np.random.default_rng(5).normal(size=(2, 24))
        return (mixed + 3 * rng.normal(size=(40, 24)))[:, None]

    world = LatentEpisodes.drawn(draw, 12, 2, 2, seed=0)
    training = world.training()
    errors = {}
    for rank in (8, 16, 24):
        map_ = fitted(world, rank=rank).without[0]
        relative = 0.0
        for k in (1, 2):
            window = world.windows(training.frames[(training.part == 0) & (training.ahead >= k)])
            truth = window.future[:, k - 1] - window.history[:, -1]
            guess = linear_change(window.history, map_.read, map_.write, alone=False)[:, k - 1]
            relative += float((guess - truth).square().sum() / truth.square().sum())
        errors[rank] = relative
    assert fitted(world).rank == min(errors, key=lambda rank: errors[rank])
    assert fitted(world, rank=3).rank == 3
    assert fitted(world, rank=100).rank == 24


def test_where_frames_are_fewer_than_numbers_the_maps_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10 episodes of 8 frames of 2 tokens of 40 numbers, in the basis that they span and without it."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        hidden = np.cumsum(rng.normal(size=(8, 5)), 0)
        mixed = hidden @ np.random.default_rng(5).normal(size=(5, 80))
        return (mixed + 0.3 * rng.normal(size=(8, 80))).reshape(8, 2, 40)

    world = LatentEpisodes.drawn(draw, 10, CONTEXT, HORIZON, seed=0)
    training = world.training()
    assert 2 * len(training.frames) <= CONTEXT * 80
    monkeypatch.setattr("world_modality.memory.ridge.PENALTIES", (0.1, 1.0))
    monkeypatch.setattr("world_modality.prophet.linear.SMALL", CONTEXT * 80 * 80 - 1)
    monkeypatch.setattr("world_modality.prophet.linear.RANKS", (4, 20))
    history = world.windows(training.frames[::3]).history

    def foreseen() -> tuple[LinearFit, list[torch.Tensor]]:
        found = fitted(world)
        ridge = fit_baselines(world.windows, training.frames, training.ahead, training.part == 0)
        maps = [linear_change(history, each.read, each.write, alone=False) for each in (found.whole, *found.without)]
        return found, [*maps, ridge.predict(history)["ridge"]]

    reduced, in_basis = foreseen()
    monkeypatch.setattr("world_modality.memory.ridge.FEW_FRAMES", 0.0)
    full, without = foreseen()
    assert reduced.penalties == full.penalties
    assert reduced.whole.read.shape == full.whole.read.shape == (HORIZON, CONTEXT * 80 + 1, full.rank)
    assert full.rank in (4, 20)
    for one, other in zip(in_basis, without, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_single_episode_chooses_nothing() -> None:
    world = LatentEpisodes.drawn(linear_world, 1, CONTEXT, HORIZON, seed=1)
    found = fitted(world)
    assert found.rank == 6
    assert torch.isfinite(found.whole.read).all()


def test_where_tokens_are_many_each_is_foreseen_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("world_modality.memory.ridge.WIDEST", 10)

    def draw(rng: np.random.Generator) -> np.ndarray:
        return np.cumsum(rng.normal(size=(30, 3, 4)), 0)

    world = LatentEpisodes.drawn(draw, 10, 2, 3, seed=0)
    found = fitted(world)
    assert found.alone
    assert found.whole.read.shape == (3, 2 * 4 + 1, found.rank)
    history = world.windows(world.training().frames[:5]).history
    change = linear_change(history, found.whole.read, found.whole.write, alone=True)
    assert change.shape == (5, 3, 3, 4)
    other = history.clone()
    other[:, :, 0] += 1
    moved = linear_change(other, found.whole.read, found.whole.write, alone=True) - change
    assert moved[:, :, 0].abs().max() > 0
    assert moved[:, :, 1:].abs().max() == 0


def test_parts_are_a_fifth_that_chooses_and_equal_others() -> None:
    bounds = EpisodeBounds.of(np.arange(0, 200, 10), np.arange(10, 210, 10))
    world = LatentEpisodes(np.zeros((200, 1, 2), np.float32), bounds, 2, 3)
    training = world.training()
    sizes = [len(np.unique(training.episode[training.part == part])) for part in range(5)]
    assert sizes == [4, 4, 4, 4, 4]
    assert training.ahead.max() == 3
    assert training.ahead.min() == 1
