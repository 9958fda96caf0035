import numpy as np
import pytest

from world_modality.pretraining.probes import Errors, probe
from world_modality.pretraining.spread import effective_rank, spectrum

EPISODES = np.repeat(np.arange(30), 12)


def test_what_latents_hold_is_explained_and_what_they_do_not_is_not() -> None:
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(360, 16))
    linear = latents @ rng.normal(size=(16, 2)) + 3
    noise = rng.normal(size=(360, 2))
    errors = probe(latents, np.concatenate([linear, noise], axis=1), EPISODES, folds=5, seed=0)
    assert errors.probe.shape == errors.mean.shape == (30, 4)
    assert errors[[0, 1]].explained() > 0.99
    assert -0.1 < errors[[2, 3]].explained() < 0.05


def test_an_episode_is_foretold_from_others_alone() -> None:
    """Latents that tell episodes apart, and a target that is a number per episode: nothing of it can be known."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(30, 40))[EPISODES] + 0.01 * rng.normal(size=(360, 40))
    targets = rng.normal(size=(30, 1))[EPISODES]
    assert probe(latents, targets, EPISODES, folds=5, seed=0).explained() < 0.1


def test_targets_count_by_how_much_they_vary_and_episodes_by_their_weights() -> None:
    errors = Errors(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 99.0], [1.0, 99.0]]))
    assert errors.explained() == pytest.approx(1 - 1 / 200)
    assert errors[[0]].explained() == pytest.approx(0.5)
    assert errors[[0]].explained(np.array([0.0, 2.0])) == 1.0


def test_a_collapse_shows_in_the_rank() -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(4000, 32))
    assert effective_rank(wide) > 31
    assert effective_rank(wide[:, :1] * rng.normal(size=32)) == pytest.approx(1.0)
    assert effective_rank(np.ones((10, 4))) == 0.0
    assert effective_rank(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])) == 2.0
    assert spectrum(wide).sum() == pytest.approx(1.0)
