"""Stopping early: the capital against a plain one, what it promises, and what hangs together in it."""

import itertools
import math

import numpy as np
import pytest
from bench import bench_sequential
from hypothesis import assume, given
from hypothesis import strategies as st
from support.simulated_pairs import Pairs

from world_modality.evidence.sequential import (
    STAKES,
    Stops,
    anytime_p,
    limits,
    log_capital,
    lower_limit,
    stops_of,
)

DIFFERENCES = st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0])
LOOKS = st.lists(st.lists(DIFFERENCES, min_size=1, max_size=12).map(np.array), min_size=1, max_size=6)
MEANS = st.floats(-0.9, 0.9)


def capitals(looks, mean):
    """What the gamblers own after each look, scene by scene, as one would write it down."""
    owned, after = [1 / len(STAKES)] * len(STAKES), []
    for look in looks:
        for difference in look:
            owned = [
                own * (1 + stake * (difference - mean) / (1 + mean)) for own, stake in zip(owned, STAKES, strict=True)
            ]
        after.append(sum(owned))
    return after


@given(LOOKS, MEANS)
def test_the_capital_is_what_the_gamblers_own(looks, mean):
    assert np.exp(log_capital(looks, mean)) == pytest.approx(capitals(looks, mean), rel=1e-9)
    assert anytime_p(looks, mean) == pytest.approx(min(1.0, 1 / max(capitals(looks, mean))), rel=1e-9)


@given(LOOKS, st.randoms(use_true_random=False))
def test_the_order_within_a_look_is_nothing_to_it(looks, random):
    shuffled = [np.array(random.sample(look.tolist(), look.size)) for look in looks]
    assert log_capital(shuffled) == pytest.approx(log_capital(looks), abs=1e-12)


@given(LOOKS, LOOKS, st.sampled_from([0.01, 0.05, 0.3]))
def test_a_further_look_takes_nothing_back(looks, further, level):
    assert anytime_p(looks + further) <= anytime_p(looks)
    assert lower_limit(looks + further, level) >= lower_limit(looks, level) - 1e-9


@given(LOOKS, st.sampled_from([0.01, 0.05, 0.3]), MEANS)
def test_the_limit_is_where_the_test_begins_to_reject(looks, level, mean):
    low, p = lower_limit(looks, level), anytime_p(looks, mean)
    assume(abs(low - mean) > 1e-6)
    assert (p <= level) == (low > mean)


@given(LOOKS)
def test_the_interval_holds_the_estimate_and_turns_with_the_arms(looks):
    there, back = limits(looks, 0.05), limits([-each for each in looks], 0.05)
    assert there.low <= there.estimate <= there.high
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


@st.composite
def tasks_without_a_gain(draw):
    """Per task the chances of (better, worse) in a scene; over all tasks the mean is exactly the one bet against."""
    shares = st.integers(0, 10)
    tasks = [(draw(shares) / 20, draw(shares) / 20) for _ in range(draw(st.integers(1, 3)))]
    return tasks, float(np.mean([better - worse for better, worse in tasks]))


@given(tasks_without_a_gain(), st.integers(1, 2))
def test_no_look_pays_where_the_mean_over_tasks_is_the_one_bet_against(drawn, per_look):
    """All outcomes of a look of as many scenes of each task, each with its chance: a fair game at best."""
    tasks, mean = drawn
    scenes = [task for task in tasks for _ in range(per_look)]
    expected = 0.0
    for outcome in itertools.product((1.0, -1.0, 0.0), repeat=len(scenes)):
        chances = [
            {1.0: better, -1.0: worse, 0.0: 1 - better - worse}[value]
            for value, (better, worse) in zip(outcome, scenes, strict=True)
        ]
        expected += math.prod(chances) * math.exp(log_capital([np.array(outcome)], mean)[0])
    assert expected <= 1 + 1e-9


def test_studies_are_decided_as_one_by_one():
    looks = Pairs((0.5,) * 4, (0.3, 0.1, 0.2, 0.1), init_states=40).looks(40, 4, np.random.default_rng(0))
    looks += Pairs((0.6,) * 4, (-0.3,) * 4, init_states=20).looks(40, 4, np.random.default_rng(1))
    found = stops_of(looks, 0.05, 0.05)
    ends = np.cumsum([each.shape[1] for each in looks])
    words = []
    for study in range(40):
        own = [each[study] for each in looks]
        for look in range(1, len(own) + 1):
            better, worse = anytime_p(own[:look]), anytime_p([-each for each in own[:look]])
            small = anytime_p([-each for each in own[:look]], -0.05)
            found_now = {"helps": better, "hurts": worse, "no": small}
            word = next((name for name, p in found_now.items() if p <= 0.05), "")
            if word or look == len(own):
                words.append(word)
                assert found.scenes[study] == ends[look - 1]
                break
    told = {name: words.count(name) / 40 for name in ("helps", "hurts", "no")}
    assert told == {"helps": found.helps, "hurts": found.hurts, "no": found.futile}
    assert 0 < found.helps < 1


@pytest.mark.parametrize(("name", "pairs", "per_look"), [each for each in bench_sequential.nulls() if "-45" in each[0]])
def test_differences_that_cancel_over_tasks_are_no_gain(name, pairs, per_look):
    found = stops_of(pairs.looks(400, per_look, np.random.default_rng(0)), 0.05, 0.05)
    assert pairs.gain == pytest.approx(0)
    assert found.helps <= 0.05
    assert found.hurts <= 0.05


def test_large_gains_are_decided_early_and_none_is_not():
    def stops(gain):
        pairs = Pairs((0.5,) * 5, (gain,) * 5, init_states=60)
        return stops_of(pairs.looks(200, 2, np.random.default_rng(3)), 0.05, 0.05)

    large, larger, none = stops(0.15), stops(0.3), stops(0.0)
    assert larger.median < large.median < none.median == 300
    assert larger.helps > 0.99


def test_no_gain_is_ruled_out_where_arms_hardly_differ():
    pairs = Pairs((0.95,) * 5, (0.0,) * 5, init_states=200, shared=0.95)
    found = stops_of(pairs.looks(100, 10, np.random.default_rng(4)), 0.05, 0.05)
    assert found.futile > 0.9
    assert found.median < 500


@pytest.mark.parametrize("bad", [[], [np.array([1.5])], [np.array([0.0]), np.array([-1.01])]])
def test_differences_lie_within_one_and_there_is_a_look(bad):
    with pytest.raises(ValueError, match="at least one look"):
        log_capital(bad)


def test_the_benchmark_fails_where_alpha_is_missed(capsys, monkeypatch):
    monkeypatch.setattr(bench_sequential, "savings", lambda *_: print("savings"))
    monkeypatch.setattr(bench_sequential, "nulls", lambda: [("toy", Pairs((0.5,), (0.0,), init_states=10), 1)])
    assert bench_sequential.main(["--studies", "20"]) == 0
    many = Stops(np.array([10]), 0.06, 0.0, 0.0)
    monkeypatch.setattr(bench_sequential, "stops", lambda *_: (many, 0.5, 0.05))
    assert bench_sequential.main(["--studies", "20"]) == 1
    assert "MISSED: a false-positive rate of 0.0600" in capsys.readouterr().out
