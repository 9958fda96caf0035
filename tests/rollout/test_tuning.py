import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.rollout.messages import Did, Scene, Timing
from world_modality.rollout.timing import TimeAccount
from world_modality.rollout.tuning import MOST_SLOTS_EACH, NEARLY, PROCESS_BYTES, Measured, Trial, advice, fitting, tune

seconds = st.floats(0, 100)
ONE_ROW = Trial(1, 0.02)


def measured(simulate=0.2, plan=0.03, window=0.0, steps=10, batch=4):
    return Measured(simulate, plan, window, steps, batch)


def test_a_fast_policy_needs_two_episodes_per_process_and_a_slow_one_more():
    assert tune(measured(), ONE_ROW, 2).slots_each == 2
    assert tune(measured(plan=0.15), ONE_ROW, 2).slots_each == 3
    assert tune(measured(), ONE_ROW, 8).slots_each == 2
    assert tune(measured(plan=0.8), ONE_ROW, 8).slots_each == 4
    assert tune(measured(window=0.15), ONE_ROW, 8).slots_each == 4  # the same with the encoder's part


@given(st.integers(1, 64), st.integers(0, 200 * 10**9))
def test_no_more_processes_than_fit_into_the_memory_and_one_at_least(wanted, free):
    workers = fitting(wanted, free)
    assert 1 <= workers <= wanted
    assert workers == 1 or workers * PROCESS_BYTES <= free
    assert fitting(wanted, 10**15) == wanted


def test_supply_and_demand_are_told():
    tuning = tune(measured(plan=0.1), Trial(1, 0.025), 2)
    assert tuning.sentence() == (
        "2 simulator processes x 2 episodes: simulators 100 steps/s, policy 400 steps/s, bound by the simulators; "
        "batch 4 fits"
    )
    slow = tune(measured(simulate=0.1, plan=1.0), Trial(1, 0.9), 8)
    assert "policy 40 steps/s, bound by the policy; " in slow.sentence()
    # 0.867 s + 0.033 s a row: 0.25 s a row in fours, 0.0875 s in sixteens, the most that half of 32 episodes fill
    assert slow.sentence().endswith("a batch of 16 rather than 4 would cost 65% less per query")


def test_rows_that_cost_the_same_in_any_batch_want_no_other():
    assert advice(measured(plan=0.4, batch=4), Trial(1, 0.1), 8) == (4, 0.0)
    assert advice(measured(plan=0.1, batch=1), Trial(2, 0.2), 8) == (1, 0.0)


def test_a_batch_that_half_of_the_episodes_cannot_fill_costs_its_padding():
    assert advice(measured(plan=0.8, batch=8), Trial(1, 0.1), 1) == (1, pytest.approx(0.75))
    assert advice(measured(plan=0.8, batch=8), Trial(1, 0.8), 1) == (8, 0.0)  # padding that costs nothing


@given(seconds, seconds, seconds, st.integers(1, 50), st.integers(1, 64), st.integers(1, 64), seconds)
def test_any_measurement_gives_a_usable_number(simulate, plan, window, steps, batch, workers, trial):
    found = measured(simulate, plan, window, steps, batch)
    tuning = tune(found, Trial(1 if batch > 1 else 2, trial), workers)
    assert 2 <= tuning.slots_each <= MOST_SLOTS_EACH
    assert tuning.slots == workers * tuning.slots_each
    assert 1 <= tuning.advised <= max(batch, workers * MOST_SLOTS_EACH // 2)
    assert 0 <= tuning.saved <= 1
    assert tuning.sentence()


@given(seconds, seconds, st.integers(2, 64), st.integers(1, 64), seconds)
def test_the_advised_batch_is_as_good_as_any_power_of_two(plan, window, batch, workers, trial):
    found, other, most = measured(plan=plan, window=window, batch=batch), Trial(1, trial), workers * 2
    advised, saved = advice(found, other, workers)
    least = min(found.query(2**power, other, most) for power in range(most.bit_length()))
    assert found.query(advised, other, most) <= NEARLY * least + 1e-9
    assert (saved > 0) == (advised != batch)


def did(steps, physics, render, scene=None):
    return Did(0, scene, steps, None, 0.0, None, {}, {}, Timing(0.5, physics, render))


def test_what_warms_up_does_not_count():
    """The first batch compiles and allocates; the first query of an episode comes with opening the simulator's
    window."""
    account = TimeAccount()
    account.add(did(0, 0.0, 9.0, Scene("", "", {}, "")))
    for policy, encoder, rows in ((8.0, 7.0, 4), (0.2, 0.3, 3), (0.4, 0.7, 2)):
        account.seconds["policy"] += policy
        account.seconds["encoder"] += encoder
        account.answered(rows)
        account.add(did(10, 0.1, 0.2))
    found = account.measured(4, 10)
    assert dataclasses.astuple(found) == pytest.approx((0.3, 0.3, 0.2, 10, 4))
