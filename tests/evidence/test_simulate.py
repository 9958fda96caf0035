import numpy as np
import pytest
from support.simulated_studies import (
    TASK_RATES,
    Design,
    Noise,
    SimulatedArm,
    five_arms,
    run_correlation,
    simulate,
)

from world_modality.evidence.outcomes import cell_rates


def test_rates_and_spreads_are_those_asked_for():
    study = simulate(Design(4000, init_states=1), {"E0": SimulatedArm("E0")}, Noise(), np.random.default_rng(0))
    truth = study.truth["E0"]
    assert truth.mean(axis=0) == pytest.approx(TASK_RATES, abs=0.004)
    assert truth.mean(axis=1).std() == pytest.approx(0.02, rel=0.05)
    assert np.sqrt(truth.var(axis=0).mean()) == pytest.approx(0.05, rel=0.05)
    assert truth.std(axis=0).argmax() == int(np.argmin(TASK_RATES)), "rates near one half vary most"


def test_effects_move_the_mean_by_what_they_say():
    arms = {"control": SimulatedArm("a"), "treated": SimulatedArm("b", 0.06)}
    truth = simulate(Design(3000, init_states=1), arms, Noise(), np.random.default_rng(1)).truth
    gap = (truth["treated"] - truth["control"]).mean(axis=0)
    assert gap.mean() == pytest.approx(0.06, abs=0.003)
    failing = 1 - np.array(TASK_RATES)
    assert gap == pytest.approx(0.06 * failing / failing.mean(), abs=0.006)


def test_outcomes_follow_the_truth():
    study = simulate(Design(3, init_states=400, repeats=4), five_arms(0.03, 0.02), Noise(), np.random.default_rng(2))
    for name, outcomes in study.conditions.items():
        assert cell_rates(outcomes).rate == pytest.approx(study.truth[name], abs=0.07)
        assert outcomes.rate == pytest.approx(study.truth[name].mean(), abs=0.01)


def test_arms_of_one_run_share_its_luck():
    truth = simulate(Design(50, init_states=1), five_arms(), Noise(), np.random.default_rng(3)).truth
    assert truth["E2"] == pytest.approx(truth["E2-zero"])
    assert abs(np.corrcoef(truth["E2"].ravel(), truth["E0"].ravel() - np.tile(TASK_RATES, 50))[0, 1]) < 0.9
    assert np.abs(truth["E2"] - truth["E0"]).max() > 0.05


def test_shared_luck_makes_arms_agree():
    def disagree(shared):
        noise = Noise(shared=shared)
        conditions = simulate(Design(1, repeats=20), five_arms(), noise, np.random.default_rng(4)).conditions
        return np.mean(conditions["E2"].success != conditions["E2-zero"].success)

    assert disagree(1.0) == 0.0
    assert 0.0 < disagree(0.8) < disagree(0.0)


def test_the_same_generator_gives_the_same_study():
    one, two = (simulate(Design(2), five_arms(), Noise(), np.random.default_rng(5)).conditions for _ in range(2))
    assert all(one[name].success.tolist() == two[name].success.tolist() for name in one)


def test_impossible_noise_is_refused():
    with pytest.raises(ValueError, match=r"suite_sd must lie between 0\.01"):
        run_correlation(Noise(suite_sd=0.001), TASK_RATES)
    with pytest.raises(ValueError, match="leaves no task rates"):
        simulate(Design(1), {"E0": SimulatedArm("E0", -5.0)}, Noise(), np.random.default_rng(0))


def test_one_task_has_no_correlation():
    assert run_correlation(Noise(0.05, 0.05), (0.8,)) == 0.0
