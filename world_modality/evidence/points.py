"""Fractions as percentage points, the same in every sentence, table and figure."""

from __future__ import annotations

import math


def points(fraction: float, signed: bool = False) -> str:
    """A fraction as points with one decimal, e.g. "+3.1"; never "-0.0".

    Of six digits, as tables of data hold it: the sentence that has the whole number then says what its row says.
    """
    value = round(100 * round(fraction, 6), 1) + 0.0
    return f"{value:+.1f}" if signed and value else f"{value:.1f}"


def found_text(detectable: float | None) -> str:
    """The smallest effect that would have been found, as a fraction, in words; empty where that is not known."""
    if detectable is None or math.isnan(detectable):
        return ""
    return "no difference, however large" if detectable > 1 else f"{points(detectable)} points"
