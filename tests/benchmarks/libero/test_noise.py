from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.benchmarks.libero.noise import PHASE_SCALES, ActionNoise, displace_arm
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.benchmarks.noise import MEMORY

ACTION = np.array([0.1, -0.2, 0.3, 0.05, 0.0, -0.05, 1.0], dtype=np.float32)


@given(st.integers(0, 1000), st.sampled_from([*PHASE_SCALES, "close", "open", "retreat"]))
def test_only_translation_is_disturbed_and_stays_in_range(seed: int, phase: str) -> None:
    noise = ActionNoise(5.0, np.random.default_rng(seed))
    for _ in range(5):
        executed = noise.disturb(ACTION, phase)
        assert np.array_equal(executed[3:], ACTION[3:])
        assert np.abs(executed).max() <= 1.0
        assert executed.dtype == np.float32
        if phase not in PHASE_SCALES:
            assert np.array_equal(executed, ACTION)


def test_scale_zero_leaves_actions_alone() -> None:
    noise = ActionNoise(0.0, np.random.default_rng(0))
    assert all(np.array_equal(noise.disturb(ACTION, phase), ACTION) for phase in PHASE_SCALES)


def test_spread_and_memory_are_as_documented() -> None:
    noise = ActionNoise(1.0, np.random.default_rng(0))
    values = np.stack([noise.disturb(np.zeros(7), "reach")[:3] for _ in range(20_000)])
    assert values.std() == pytest.approx(PHASE_SCALES["reach"], rel=0.05)
    lagged = np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]
    assert lagged == pytest.approx(MEMORY, abs=0.03)


def test_noise_is_a_function_of_its_generator() -> None:
    runs = []
    for _ in range(2):
        noise = ActionNoise(1.0, np.random.default_rng(7))
        runs.append(np.stack([noise.disturb(ACTION, phase) for phase in PHASE_SCALES]))
    assert np.array_equal(*runs)


def test_displacement_moves_the_hand_reproducibly(make_env: Callable[..., LiberoSimulator]) -> None:
    env = make_env(0)
    env.reset(0, seed=0)
    start, _ = env.hand()
    assert displace_arm(env, np.random.default_rng(2), scale=0.0) == 0
    assert np.array_equal(env.hand()[0], start)
    steps = displace_arm(env, np.random.default_rng(2))
    moved, _ = env.hand()
    assert 0 < steps <= 10
    assert 0.005 < np.linalg.norm(moved - start) < 0.3
    env.reset(0, seed=0)
    assert displace_arm(env, np.random.default_rng(2)) == steps
    assert np.array_equal(env.hand()[0], moved)
