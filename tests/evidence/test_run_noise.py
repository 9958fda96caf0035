import numpy as np
import pytest
from support.outcome_grids import grid
from support.simulated_studies import Design, Noise, five_arms, simulate

from world_modality.evidence.noise import assume, run_noise
from world_modality.evidence.plan import Assumptions


def many_seeds(noise=Noise(), seeds=150):  # noqa: B008 - frozen
    return simulate(Design(seeds, init_states=50), five_arms(), noise, np.random.default_rng(0)).conditions


def test_it_recovers_what_was_put_in():
    conditions = many_seeds()
    found = run_noise(conditions["E0"])
    assert found.run_sd == pytest.approx(0.02, rel=0.15)
    assert found.task_sd == pytest.approx(0.05, rel=0.1)
    one, two = conditions["E0"].of_seeds([0]), conditions["E0"].of_seeds([1])
    assert found.disagree == pytest.approx(np.mean(one.success != two.success), abs=0.04)


def test_without_run_noise_there_is_hardly_any():
    found = run_noise(many_seeds(Noise(suite_sd=5e-7, task_sd=1e-6))["E0"])
    assert found.run_sd < 0.006
    assert found.task_sd < 0.015


def test_the_limit_lies_above_and_nears_the_estimate():
    conditions = many_seeds()["E0"]
    few, many = run_noise(conditions.of_seeds(range(5))), run_noise(conditions)
    assert few.run_sd_high > 1.3 * few.run_sd
    assert many.run_sd < many.run_sd_high < 1.1 * many.run_sd


def test_the_limit_is_too_low_in_a_fifth_of_the_pilots():
    conditions = many_seeds(seeds=300)["E0"]
    limits = [run_noise(conditions.of_seeds(range(start, start + 5))).run_sd_high for start in range(0, 300, 5)]
    assert np.mean(np.array(limits) < 0.02) == pytest.approx(0.2, abs=0.13)


def test_assumptions_take_what_is_known():
    conditions = many_seeds(seeds=6)
    prior = Assumptions()
    found = assume(prior, conditions["E0"])
    assert found.disagree_memories == prior.disagree_memories
    assert found.source == "estimated from 6 seeds"
    assert found.rate == conditions["E0"].rate
    both = assume(prior, conditions["E0"], (conditions["E2"], conditions["E2-zero"]), cautious=False)
    assert both.disagree_memories == np.mean(conditions["E2"].success != conditions["E2-zero"].success)
    assert both.run_sd < found.run_sd


def test_it_needs_two_seeds_on_the_same_episodes():
    full = grid(np.random.default_rng(0).random((2, 2, 5, 1)) < 0.5)
    with pytest.raises(ValueError, match="two seeds"):
        run_noise(full.of_seeds([0]))
    with pytest.raises(ValueError, match="same episodes"):
        run_noise(full.where((full.init_state + full.seed) % 5 != 0))
    with pytest.raises(ValueError, match="same episodes"):
        assume(Assumptions(), full, (full, full.of_seeds([0])))
