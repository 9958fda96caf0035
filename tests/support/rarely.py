"""Grids of cases of which most run with the slow tests: each axis is covered by those that always run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest


def rarely(cases: Iterable[Sequence[Any]], always: Callable[[tuple[Any, ...]], bool]) -> list[Any]:
    """The cases for ``parametrize``; those that ``always`` does not pick are marked slow."""
    return [pytest.param(*case, marks=() if always(tuple(case)) else pytest.mark.slow) for case in cases]


def diagonal(rows: Sequence[Any], columns: Sequence[Any]) -> Callable[[tuple[Any, ...]], bool]:
    """Picks so many of all pairs that every row and every column is among them."""
    longest = max(len(rows), len(columns))
    chosen = {(rows[place % len(rows)], columns[place % len(columns)]) for place in range(longest)}
    return lambda pair: pair in chosen
