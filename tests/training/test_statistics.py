"""Whose statistics normalise a training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.training.statistics import FARTHEST, keep_statistics, without_unit

SIZES = {"observation.state": 3, "action": 2}


def statistics(mean: float, deviation: float, reach: float) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "mean": np.full(size, mean, np.float32),
            "std": np.full(size, deviation, np.float32),
            "min": np.full(size, mean - reach, np.float32),
            "max": np.full(size, mean + reach, np.float32),
            "count": np.array([10]),
        }
        for name, size in SIZES.items()
    }


def metadata(own: dict[str, dict[str, Any]]) -> Any:
    return SimpleNamespace(stats=own, features={name: {"shape": (size,)} for name, size in SIZES.items()})


def test_a_policys_statistics_are_kept_whole_where_they_have_a_unit() -> None:
    meta, start = metadata(statistics(1.0, 0.5, 2.0)), statistics(0.5, 1.0, 3.0)
    assert keep_statistics(meta, start)
    for name in SIZES:
        assert all(np.array_equal(meta.stats[name][kind], values) for kind, values in start[name].items())


def test_only_the_numbers_without_a_unit_are_the_datas() -> None:
    meta, start = metadata(statistics(1.0, 0.5, 2.0)), statistics(0.5, 1.0, 3.0)
    start["action"]["std"][1] = 0
    assert keep_statistics(meta, start)
    assert meta.stats["action"]["std"].tolist() == [1.0, 0.5]
    assert meta.stats["action"]["mean"].tolist() == [0.5, 1.0]
    assert meta.stats["observation.state"]["std"].tolist() == [1.0, 1.0, 1.0]


@settings(deadline=None)
@given(st.floats(-10, 10), st.floats(0, 10), st.floats(0, 10))
def test_what_is_normalised_is_never_farther_than_the_limit(mean: float, deviation: float, reach: float) -> None:
    start, own = statistics(0.0, deviation, 1.0)["action"], statistics(mean, 1.0, reach)["action"]
    foreign = without_unit(start, own)
    farthest = max(abs(mean - reach), abs(mean + reach))
    assert (foreign | (farthest <= FARTHEST * deviation + 1e-4)).all()
    if farthest < 0.9 * FARTHEST * deviation:
        assert not foreign.any()
