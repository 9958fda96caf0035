"""Rates of perturbed suites beside those of the suites that they perturb."""

from __future__ import annotations

import numpy as np
import pytest
from support.toy_results import ToyResults

from world_modality.evidence.outcomes import Outcomes
from world_modality.evidence.rates import hybrid, wilson
from world_modality.report.claims import task_number
from world_modality.report.robustness import drops
from world_modality.report.text import robustness_rows
from world_modality.study.specs import ReportSpec

BASE, SWAP = "libero_spatial", "libero_spatial_swap"
Played = dict[tuple[str, int], str]
"""By suite and task a digit per initial state: 1 is a success."""


def spec_of(toy: ToyResults, *suites: str, tasks: int = 2) -> ReportSpec:
    """Of E2 alone, on the first tasks of each suite."""
    spec, _, _ = toy.write()
    cell = next(each for each in spec.cells if each.condition == "E2")
    cells = [cell.model_copy(update={"suite": suite, "task": task}) for suite in suites for task in range(tasks)]
    return spec.model_copy(update={"suites": suites, "cells": tuple(cells)})


def outcomes(spec: ReportSpec, played: Played) -> dict[str, Outcomes]:
    rows = np.array(
        [
            (task_number(spec, *place), state, digit == "1")
            for place, digits in played.items()
            for state, digit in enumerate(digits)
        ]
    )
    zero = np.zeros(len(rows), np.int64)
    return {"E2": Outcomes(zero, rows[:, 0], rows[:, 1], zero, rows[:, 2].astype(bool))}


def test_the_interval_covers_the_difference_of_independent_rates() -> None:
    """2,000 pairs of samples: at least 93% of the 95% intervals hold the true difference."""
    rng = np.random.default_rng(0)
    held = 0
    for one, other in rng.binomial((60, 90), (0.8, 0.55), (2000, 2)):
        found = hybrid(wilson(int(one), 60), wilson(int(other), 90))
        held += found.low <= 0.25 <= found.high
    assert held >= 0.93 * 2000


def test_a_perturbed_suite_stands_beside_its_base_alone(toy: ToyResults) -> None:
    spec = spec_of(toy, BASE, SWAP, tasks=1)
    (row,) = drops(spec, outcomes(spec, {(BASE, 0): "1111", (SWAP, 0): "0110"}))
    assert (row["base"], row["suite"]) == (BASE, SWAP)
    assert (row["base_rate"]["successes"], row["rate"]["successes"]) == (4, 2)
    expected = hybrid(wilson(2, 4), wilson(4, 4))
    assert (row["estimate"], row["low"], row["high"]) == (
        -0.5,
        pytest.approx(expected.low, abs=1e-4),
        pytest.approx(expected.high, abs=1e-4),
    )
    (cells,) = robustness_rows({"robustness": [row]})
    assert cells[0] == "libero_spatial: where objects stand"
    assert cells[4].startswith("-50.0 [")
    other = spec_of(toy, "libero_10", SWAP, tasks=1)
    assert drops(other, outcomes(other, {("libero_10", 0): "1111", (SWAP, 0): "0110"})) == []


def test_unfinished_rollouts_are_compared_on_common_tasks_and_told(toy: ToyResults) -> None:
    """The perturbed suite still lacks the task on which nothing ever succeeds."""
    spec = spec_of(toy, BASE, SWAP)
    (row,) = drops(spec, outcomes(spec, {(BASE, 0): "1111", (BASE, 1): "0000", (SWAP, 0): "1111"}))
    assert row["estimate"] == 0.0  # pooled rates would say +50 points
    assert (row["rate"]["episodes"], row["rate"]["planned"]) == (4, 8)
    (cells,) = robustness_rows({"robustness": [row]})
    assert "of 8" in cells[3]
    assert drops(spec, outcomes(spec, {(BASE, 1): "0000", (SWAP, 0): "1111"})) == []
