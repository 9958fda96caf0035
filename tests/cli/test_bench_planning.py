"""The benchmark of planning judges the time that a person waits."""

from __future__ import annotations

from bench.bench_planning import EMPTY, HALF, Took, missed


def test_time_from_start_to_end_is_judged() -> None:
    quick = dict.fromkeys((*EMPTY, *HALF), Took(wall=1.9, cpu=1.9))
    growth = dict.fromkeys(quick, 1.0)
    assert missed({6449: quick}, growth) == []
    slow = quick | {"status": Took(wall=2.0, cpu=0.9), "half_plan": Took(wall=31.0, cpu=8.0)}
    assert missed({6449: slow}, growth) == [
        "half_plan takes 31.0 s (8.0 s of the processor), not less than 30 s",
        "status takes 2.0 s (0.9 s of the processor), not less than 2 s",
    ]
    assert missed({6449: quick}, growth | {"plan": 1.2}) == ["plan grows with stages^1.20"]
