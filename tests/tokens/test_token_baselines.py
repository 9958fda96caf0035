"""What is counted of tokens never spans two episodes, and what is fitted sees training episodes alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.latents.windows import EpisodeBounds
from world_modality.tokens.baselines import Bigram, Usage, copy_accuracy, frames_of, pairs, token_figures

LENGTHS = st.lists(st.integers(1, 9), min_size=2, max_size=6)


def bounds_of(lengths: list[int]) -> EpisodeBounds:
    ends = np.cumsum(lengths)
    return EpisodeBounds.of(ends - lengths, ends)


@pytest.mark.defect("W14")
@given(LENGTHS, st.integers(1, 8), st.integers(1, 3), st.data())
@settings(max_examples=60, deadline=None)
def test_a_pair_lies_in_one_of_the_episodes_asked_for(
    lengths: list[int], step: int, places: int, data: st.DataObject
) -> None:
    """Tokens that tell frame and place: a pair that crossed a border, or left the episodes, would show it."""
    bounds = bounds_of(lengths)
    chosen = data.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, unique=True))
    tokens = np.arange(bounds.frames * places, dtype=np.int32).reshape(-1, places)
    now, later = pairs(tokens, bounds.only(chosen), step)
    assert np.array_equal(later - now, np.full(len(now), step * places))  # the same place, step frames later
    assert np.array_equal(bounds.find(now // places), bounds.find(later // places))
    assert set(bounds.find(now // places)) <= set(chosen)
    assert len(now) == places * sum(max(0, lengths[each] - step) for each in chosen)


@pytest.mark.defect("W14")
@given(LENGTHS, st.integers(1, 4), st.integers(0, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_a_bigram_is_the_same_whatever_the_held_out_frames_hold(
    lengths: list[int], step: int, seed: int, data: st.DataObject
) -> None:
    bounds = bounds_of(lengths)
    episodes = st.sampled_from(range(len(lengths)))
    held_out = data.draw(st.lists(episodes, min_size=1, max_size=len(lengths) - 1, unique=True))
    generator = np.random.default_rng(seed)
    tokens = generator.integers(0, 3, (bounds.frames, 2)).astype(np.int32)
    trained = bounds.without(held_out)
    fitted = Bigram.fit(tokens, 3, trained, step)
    other = tokens.copy()
    hidden = frames_of(bounds.only(held_out))
    other[hidden] = generator.integers(0, 3, other[hidden].shape)
    assert np.array_equal(Bigram.fit(other, 3, trained, step).following, fitted.following)


def test_a_bigram_is_the_likeliest_follower() -> None:
    tokens = np.array([0, 1, 0, 1, 0, 2, 3, 3, 1, 0], np.int32)[:, None]
    bounds = bounds_of([6, 4])
    fitted = Bigram.fit(tokens, 5, bounds, 1)
    # 0 -> 1 twice, 2 once; 1 -> 0 thrice; 2 ends an episode, so it follows itself; 3 -> 3 and 1: the lower, 4 no time
    assert fitted.following.tolist() == [1, 0, 2, 1, 4]
    assert fitted.accuracy(tokens, bounds, 1) == pytest.approx(6 / 8)
    assert copy_accuracy(tokens, bounds, 1) == pytest.approx(1 / 8)
    assert copy_accuracy(tokens, bounds, 2) == pytest.approx(3 / 6)
    assert copy_accuracy(tokens, bounds, 6) is None
    assert fitted.accuracy(tokens, bounds, 6) is None


def test_a_next_token_that_follows_from_the_present_one_is_known_to_the_bigram_alone() -> None:
    """Cycles through 7 tokens: on held-out episodes the bigram is always right, copying never but at k = 7."""
    lengths = [30, 41, 25]
    tokens = np.concatenate([(np.arange(length) + 3 * number) % 7 for number, length in enumerate(lengths)])
    bounds = bounds_of(lengths)
    found = token_figures(tokens.astype(np.int32)[:, None], 8, bounds.only([0, 2]), bounds.only([1]))
    assert found["bigram"] == [1.0] * 8
    assert found["copy"] == [0.0] * 6 + [1.0, 0.0]
    assert (found["used"], found["dead"]) == (7, 1)


def test_the_use_of_tokens_is_told_in_nats() -> None:
    usage = Usage.of(np.array([[3, 3], [1, 0], [3, 3], [1, 0]]), 6)
    assert usage.counts.tolist() == [2, 2, 0, 4, 0, 0]
    assert usage.used == 3
    assert usage.entropy == pytest.approx(1.5 * math.log(2))
    assert usage.perplexity == pytest.approx(2**1.5)
    assert usage.most_frequent() == [(3, 4), (0, 2), (1, 2)]
    assert usage.most_frequent(1) == [(3, 4)]
    one = Usage.of(np.zeros(5, np.int32), 2)
    assert (one.entropy, one.perplexity) == (0.0, 1.0)
