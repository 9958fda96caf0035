"""By how much a Prophet foresees more than each baseline, and what is said where it is worse than ridge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from world_modality.report.forecast import Judgement
from world_modality.report.prophet_margins import GATE, margin_rows, margins, reading, ridge_gate


def judgement(arm: str, prophet: list[list[float | None]], ridge: list[list[float | None]], seed: int = 0) -> Judgement:
    single = {"prophet": prophet, "ridge": ridge, "persistence": ridge, "mean_reversion": ridge, "velocity": ridge}
    by_episode = {name: {"skill": found, "change_cosine": found} for name, found in single.items()}
    return Judgement(arm, seed, True, len(prophet), 100, False, {}, by_episode)


def test_an_interval_is_students_over_episodes_of_the_mean_over_seeds() -> None:
    rng = np.random.default_rng(0)
    prophet, ridge = rng.normal(size=(2, 5, 3)), rng.normal(size=(5, 3))
    group = [judgement("E2", prophet[seed].tolist(), ridge.tolist(), seed) for seed in range(2)]
    for k, found in enumerate(margins(group, "skill", "ridge")):
        expected = stats.ttest_1samp((prophet.mean(0) - ridge)[:, k], 0.0)
        interval = expected.confidence_interval(0.95)
        assert found is not None
        assert (found.mean, found.low, found.high) == pytest.approx(
            (float((prophet.mean(0) - ridge)[:, k].mean()), interval.low, interval.high)
        )


def test_what_was_not_measured_counts_for_nothing() -> None:
    first, second = margins([judgement("E2", [[0.5, None], [0.7, None]], [[0.4, None], [0.4, None]])], "skill", "ridge")
    assert first is not None
    assert first.mean == pytest.approx(0.2)
    assert second is None
    (alone,) = margins([judgement("E2", [[0.5]], [[0.4]])], "skill", "ridge")
    assert alone is not None
    assert alone.low is None
    assert alone.text == "+0.10"


def test_an_older_judgement_without_single_episodes_has_no_row() -> None:
    plain = Judgement("E2", 0, True, 3, 100, False, {})
    assert margin_rows([plain]) == []
    assert margins([plain], "skill", "ridge") == []


@pytest.mark.parametrize(
    ("gained", "passed"),
    [
        ([0.1, 0.1, 0.11], True),
        ([-0.005, -0.006, -0.004], True),  # worse for sure, by less than counts
        ([-0.2, 0.2, -0.1], True),  # nobody can tell
        ([-0.1, -0.11, -0.12], None),
        ([-0.1], None),  # one episode alone: its mean counts
    ],
)
def test_worse_than_ridge_is_said_and_withholds_nothing(gained: list[float], passed: bool | None) -> None:
    found = ridge_gate([judgement("E2", [[0.5 + by] for by in gained], [[0.5]] * len(gained))])
    assert found is not None
    assert (found.name, found.passed) == (GATE, passed)
    if passed is None:
        assert found.detail == (
            "E2's is worse than ridge at k = 1: what is found of E2 says little of predicted futures"
        )
    else:
        better = gained[0] == 0.1
        assert found.detail == f"E2's is {'better than ridge at k = 1' if better else 'no better than ridge at any k'}"


def test_an_arm_that_does_not_read_predictions_is_not_asked() -> None:
    both = [judgement("E1", [[0.1]], [[0.5]]), judgement("E2", [[0.6]], [[0.5]])]
    assert reading(both, {"E1": "zero", "E2": "pred"}) == both[1:]
    assert ridge_gate([]) is None
