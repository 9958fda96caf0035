"""Are two arms the same for all practical purposes?"""

from __future__ import annotations

from statsmodels.stats.weightstats import ttost_ind

from world_modality.evidence.outcomes import Floats
from world_modality.evidence.proportions import Interval


def equivalence_p(treated: Floats, control: Floats, margin: float) -> float:
    """P-value of two one-sided Welch tests (TOST, Schuirmann 1987) on seed means, float [runs] per arm.

    The null hypothesis is that the recipes differ by ``margin`` or more; ValueError unless that is positive, and
    unless each arm has two runs.
    """
    if margin <= 0 or min(treated.size, control.size) < 2:
        raise ValueError("need a positive margin and two runs per arm")
    return float(ttost_ind(treated, control, -margin, margin, usevar="unequal")[0])


def is_equivalent(bounds: Interval, margin: float) -> bool:
    """Whether both one-sided bounds at alpha lie within ``+-margin``: the same decision as TOST at alpha."""
    return -margin < bounds.low and bounds.high < margin
