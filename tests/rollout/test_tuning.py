from hypothesis import given
from hypothesis import strategies as st

from world_modality.rollout.tuning import MOST_SLOTS_EACH, Measured, tune

seconds = st.floats(0, 100)


def test_a_fast_policy_needs_two_units_per_process_and_a_slow_one_more():
    assert tune(Measured(0.2, 0.03, 10, 4), 2).slots_each == 3
    assert tune(Measured(0.2, 0.03, 10, 4), 8).slots_each == 2
    assert tune(Measured(0.2, 0.6, 10, 4), 8).slots_each == 4


def test_supply_and_demand_are_told():
    tuning = tune(Measured(0.2, 0.1, 10, 4), 2)
    assert tuning.sentence() == (
        "2 simulator processes x 3 units: simulators 100 steps/s, policy 400 steps/s, bound by the simulators"
    )
    assert tune(Measured(0.1, 1.0, 10, 4), 8).sentence().endswith("policy 40 steps/s, bound by the policy")


@given(seconds, seconds, st.integers(1, 50), st.integers(1, 64), st.integers(1, 64))
def test_any_measurement_gives_a_usable_number(simulate, plan, steps, batch, workers):
    tuning = tune(Measured(simulate, plan, steps, batch), workers)
    assert 2 <= tuning.slots_each <= MOST_SLOTS_EACH
    assert tuning.slots == workers * tuning.slots_each
