"""Ratios of sums over episodes: what an interval covers, what a difference earns."""

from __future__ import annotations

import numpy as np
import pytest

from world_modality.evidence.effect import Levels
from world_modality.evidence.ratios import ENOUGH_EPISODES, gain_across_seeds, gain_on_episodes, ratio_of
from world_modality.evidence.resampling import keyed_generator


def drawn(generator: np.random.Generator, episodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums whose ratio is 2 in the long run: longer episodes, larger sums, and episodes differ."""
    below = generator.integers(5, 40, episodes).astype(float)
    return below * 2 * generator.lognormal(-0.045, 0.3, episodes), below


@pytest.mark.parametrize("episodes", [6, ENOUGH_EPISODES + 10])
def test_intervals_hold_the_truth_as_often_as_they_say(episodes: int) -> None:
    generator = np.random.default_rng(0)
    held = 0
    for number in range(400):
        found = ratio_of(*drawn(generator, episodes), keyed_generator(number)).interval(0.95)
        held += found.low <= 2 <= found.high
    assert 0.92 <= held / 400 <= 0.985


def test_a_ratio_is_of_the_sums_and_depends_on_no_order() -> None:
    above, below = drawn(np.random.default_rng(1), 50)
    order = np.random.default_rng(2).permutation(50)
    one = ratio_of(above, below, keyed_generator("a"))
    other = ratio_of(above[order], below[order], keyed_generator("b"))
    assert one.estimate == pytest.approx(above.sum() / below.sum())
    assert (other.estimate, other.error) == pytest.approx((one.estimate, one.error))
    assert one.interval(0.95).low == pytest.approx(other.interval(0.95).low, rel=0.01)
    assert ratio_of(above, below, keyed_generator("a")).interval(0.95) == one.interval(0.95)


def test_an_episode_without_anything_to_measure_counts_for_nothing() -> None:
    one = ratio_of(np.array([1.0, 3.0, 0.0]), np.array([1.0, 1.0, 0.0]), keyed_generator("a"))
    assert (one.estimate, one.episodes) == (2.0, 2)
    assert one.interval(0.95).low == pytest.approx(2 - 12.706 * 1.0, rel=1e-3)  # t on one degree of freedom
    with pytest.raises(ValueError, match="at least two"):
        ratio_of(np.array([1.0, 0.0]), np.array([1.0, 0.0]), keyed_generator("a"))


def test_gains_are_shares_of_the_control_s_error() -> None:
    control = np.random.default_rng(3).uniform(1, 2, (3, 12))
    noise = np.random.default_rng(4).uniform(0.85, 0.95, (3, 12))
    for found in (
        gain_on_episodes(control * noise, control, Levels(), 100, keyed_generator("a")),
        gain_across_seeds(control * noise, control, Levels(), 100),
    ):
        assert found.estimate == pytest.approx(1 - (control * noise).sum() / control.sum())
        assert (found.episodes, found.clusters, found.seeds) == (100, 12, 3)
    same = gain_on_episodes(control, control, Levels(), 100, keyed_generator("a"))
    assert (same.estimate, same.interval.low, same.interval.high, same.p_greater) == (0.0, 0.0, 0.0, 1.0)
    sure = gain_on_episodes(control * noise, control, Levels(), 100, keyed_generator("a"))
    assert sure.p_greater < 0.001 < 0.999 < sure.p_less
    worse = gain_on_episodes(control * 4, control, Levels(), 100, keyed_generator("a"))
    assert worse.estimate == pytest.approx(-3)
    assert worse.interval.low <= -3 <= worse.interval.high


def test_two_seeds_say_nothing_of_training_anew_and_one_episode_nothing_at_all() -> None:
    control = np.random.default_rng(3).uniform(1, 2, (2, 12))
    assert "at least 3 needed" in gain_across_seeds(control * 0.9, control, Levels(), 100).problem
    one = gain_on_episodes(control[:, :1] * 0.9, control[:, :1], Levels(), 10, keyed_generator("a"))
    assert one.problem == "only one episode"
