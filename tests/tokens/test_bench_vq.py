"""The benchmark of codebooks says by its exit status whether its targets are met."""

from __future__ import annotations

import math

import pytest
from bench import bench_vq


def test_each_target_is_judged() -> None:
    assert bench_vq.missed(10.0, 0.5) == []
    assert bench_vq.missed(9.99, -1.0) == ["ratio 9.99 is below 10"]
    assert bench_vq.missed(math.inf, 0.501) == ["inertia is 0.501% above KMeans's, more than 0.5%"]
    assert len(bench_vq.missed(math.nan, math.nan)) == 2


@pytest.mark.parametrize(("ratio", "above", "status"), [(0, math.inf, 0), (math.inf, math.inf, 1), (0, -math.inf, 1)])
def test_a_missed_target_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ratio: float, above: float, status: int
) -> None:
    monkeypatch.setattr(bench_vq, "RATIO", ratio)
    monkeypatch.setattr(bench_vq, "ABOVE", above)
    monkeypatch.setattr("sys.argv", ["bench_vq", "--rows", "64", "--dim", "8", "--size", "4", "--threads", "1"])
    assert bench_vq.main() == status
    assert ("BENCH vq missed: " in capsys.readouterr().out) == bool(status)
