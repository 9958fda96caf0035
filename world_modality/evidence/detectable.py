"""How large an effect must be before a study of this size is likely to see it."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import norm


def smallest_detectable_difference(units: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The difference of two success rates that ``units`` trials per arm detect with the given power.

    Solves ``d sqrt(n) = z(1-alpha/2) sqrt(2 p q) + z(power) sqrt(p0 q0 + p1 q1)`` for d (Fleiss, Statistical
    Methods for Rates and Proportions, ch. 4) at the worst case: rates d/2 below and above one half, and the
    arms' outcomes independent although they share their scenes. Run-to-run variation of training is not in it.
    Returns a fraction, at most 1.0, which means that not even 0% against 100% is safely detected.
    """
    if units <= 0:
        raise ValueError(f"units must be positive, got {units}")
    z_alpha, z_power = norm.ppf(1 - alpha / 2), norm.ppf(power)

    def shortfall(difference: float) -> float:
        spread = z_alpha * math.sqrt(0.5) + z_power * math.sqrt(0.5 - difference**2 / 2)
        return float(spread - difference * math.sqrt(units))

    return 1.0 if shortfall(1.0) >= 0 else float(brentq(shortfall, 0.0, 1.0))
