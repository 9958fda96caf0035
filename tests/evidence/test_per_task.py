import numpy as np
import pytest
from support.outcome_grids import grid
from support.simulated_studies import Design, Noise, five_arms, simulate

from world_modality.evidence.effect import Levels
from world_modality.evidence.multiplicity import holm
from world_modality.evidence.per_task import task_effects

CONDITIONS = simulate(
    Design(5, init_states=20, repeats=2), five_arms(0.0, 0.1), Noise(), np.random.default_rng(0)
).conditions


def test_p_values_are_holms_and_estimates_are_drawn_together():
    rows = task_effects(CONDITIONS["E2"], CONDITIONS["E2-zero"], True, Levels(), "test")
    assert [row.task for row in rows] == list(range(10))
    assert [row.checkpoint_p for row in rows] == list(holm([row.checkpoint.p_two_sided for row in rows]))
    assert [row.recipe_p for row in rows] == list(holm([row.recipe.p_two_sided for row in rows]))
    raw = np.array([row.checkpoint.estimate for row in rows])
    assert raw.mean() == pytest.approx(CONDITIONS["E2"].rate - CONDITIONS["E2-zero"].rate)
    assert np.std([row.shrunk for row in rows]) < raw.std()


def test_bounds_and_detectable_effects_hold_for_all_tasks_at_once():
    rows = task_effects(CONDITIONS["E2"], CONDITIONS["E2-zero"], True, Levels(), "test")
    single = task_effects(CONDITIONS["E2"].of_task(0), CONDITIONS["E2-zero"].of_task(0), True, Levels(), "test")
    assert rows[0].checkpoint.levels.alpha == pytest.approx(0.0025)
    assert single[0].checkpoint.levels.alpha == pytest.approx(0.025)
    assert rows[0].checkpoint.detectable > single[0].checkpoint.detectable
    assert rows[0].recipe.detectable > single[0].recipe.detectable
    assert rows[0].recipe.interval == single[0].recipe.interval


def test_two_arms_of_other_runs_use_welch():
    (row, *_) = task_effects(CONDITIONS["E2"], CONDITIONS["E0"], False, Levels(), "test")
    assert row.recipe.method == "Welch on seed means"
    (same, *_) = task_effects(CONDITIONS["E2"], CONDITIONS["E2-zero"], True, Levels(), "test")
    assert same.recipe.method == "t-test of per-seed differences"


def test_a_demo_of_a_few_episodes_has_rows_too():
    one, two = (grid(success) for success in ([[[[1], [1]], [[0], [1]]]], [[[[1], [0]], [[0], [1]]]]))
    rows = task_effects(one, two, True, Levels(), "demo")
    assert [row.checkpoint.estimate for row in rows] == [0.5, 0.0]
    assert all(row.checkpoint.interval.low < 0 < row.checkpoint.interval.high for row in rows)
    assert all(row.recipe.problem for row in rows)
