"""Rates of perturbed suites beside those of the suites that they perturb."""

from __future__ import annotations

import numpy as np
import pytest
from support.toy_results import ToyResults

from world_modality.evidence.rates import Interval, wilson
from world_modality.report.judgement import conditions_of
from world_modality.report.results import load_results
from world_modality.report.robustness import drops, newcombe
from world_modality.report.text import robustness_rows


def test_newcombes_published_example() -> None:
    """Newcombe 1998, table II, row (a): 56/70 - 48/80 is 0.2 with the interval 0.0524 to 0.3339."""
    low, high = newcombe(wilson(56, 70), wilson(48, 80))
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_the_interval_covers_the_difference_of_independent_rates() -> None:
    """2,000 pairs of samples: at least 93% of the 95% intervals hold the true difference."""
    rng = np.random.default_rng(0)
    held = 0
    for one, other in rng.binomial((60, 90), (0.8, 0.55), (2000, 2)):
        low, high = newcombe(wilson(int(one), 60), wilson(int(other), 90))
        held += low <= 0.25 <= high
    assert held >= 0.93 * 2000


def test_a_perturbed_suite_stands_beside_its_base_alone(toy: ToyResults) -> None:
    toy.suites = ("libero_spatial", "libero_spatial_swap")
    spec, rollouts, _ = toy.write()
    rows = drops(spec, conditions_of(spec, load_results(spec, rollouts)))
    assert {(row["base"], row["suite"]) for row in rows} == {("libero_spatial", "libero_spatial_swap")}
    e2 = next(row for row in rows if row["condition"] == "E2")
    assert (e2["base_rate"]["successes"], e2["rate"]["successes"]) == (4, 2)
    assert e2["estimate"] == -0.5
    assert (e2["low"], e2["high"]) == newcombe(wilson(2, 4), wilson(4, 4))
    cells = robustness_rows({"robustness": rows})
    assert cells[0][0] == "libero_spatial: where objects stand"
    assert cells[[row["condition"] for row in rows].index("E2")][4].startswith("-50.0 [")
    toy.suites = ("libero_10", "libero_spatial_swap")
    spec, rollouts, _ = toy.write()
    assert drops(spec, conditions_of(spec, load_results(spec, rollouts))) == []


def test_equal_rates_do_not_differ() -> None:
    same = Interval(0.5, 0.3, 0.7)
    low, high = newcombe(same, same)
    assert low == -high
