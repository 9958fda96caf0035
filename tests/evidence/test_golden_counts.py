"""Counts published for the system that came before this one, SmolVLA on the ten tasks of libero_spatial."""

import pytest

from world_modality.evidence.rates import fisher_p, wilson

E0_AT_50 = (38, 48, 42, 47, 41, 35, 42, 46, 36, 43)  # of 50 each: 76, 96, 84, 94, 82, 70, 84, 92, 72, 86 percent
E1_AT_50 = (40, 47, 43, 47, 47, 33)  # tasks 0-5


def percent(successes, trials):
    interval = wilson(successes, trials)
    return tuple(round(100 * value, 1) for value in (interval.estimate, interval.low, interval.high))


@pytest.mark.parametrize(
    ("successes", "trials", "printed"),
    [
        (179, 200, (89.5, 84.5, 93.0)),  # E0, 20 per task; E2, task 1
        (177, 200, (88.5, 83.3, 92.2)),  # E1, 20 per task
        (sum(E0_AT_50), 500, (83.6, 80.1, 86.6)),
        (sum(E1_AT_50), 300, (85.7, 81.2, 89.2)),
        (157, 200, (78.5, 72.3, 83.6)),  # E2, task 0
    ],
)
def test_wilson_intervals(successes, trials, printed):
    assert percent(successes, trials) == printed


def test_the_same_six_tasks():
    assert percent(sum(E0_AT_50[:6]), 300)[0] == 83.7


def test_no_success_in_20_leaves_16_percent():
    assert round(100 * wilson(0, 20).high) == 16


@pytest.mark.parametrize(
    ("one", "two", "printed"),
    [
        ((157, 200), (38, 50), 0.71),  # E2 against E0, task 0
        ((179, 200), (48, 50), 0.27),  # the same, task 1
        ((179, 200), (418, 500), 0.06),  # E0 at 20 per task against E0 at 50: a drift without an explanation
    ],
)
def test_fisher_p_values(one, two, printed):
    assert round(fisher_p(one, two), 2) == printed


def test_the_margin_of_one_arm():
    """ "+-4% for 200 per task" is really 5 points per task, and 1.6 points for 2,000."""
    task, suite = wilson(170, 200), wilson(1700, 2000)
    assert round(100 * (task.high - task.low) / 2) == 5
    assert round(100 * (suite.high - suite.low) / 2, 1) == 1.6
