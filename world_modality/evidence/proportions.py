"""Success rates, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence limits, all as fractions (not percent): ``low <= estimate <= high``."""

    estimate: float
    low: float
    high: float


def normal_quantile(confidence: float) -> float:
    """The z with ``P(|Z| <= z) = confidence``; ValueError unless ``0 < confidence < 1``."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie strictly between 0 and 1, got {confidence}")
    return float(norm.ppf(0.5 + confidence / 2))


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of one success rate (Wilson 1927, JASA 22:209).

    Centre ``(x + z^2/2) / (n + z^2)``, half width ``z sqrt(x(n-x)/n + z^2/4) / (n + z^2)``.
    Trials count as independent. ValueError unless ``0 <= successes <= trials`` and ``trials > 0``.

    >>> rate = wilson(3, 4)
    >>> round(rate.low, 3), round(rate.high, 3)
    (0.301, 0.954)
    """
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
    z = normal_quantile(confidence)
    centre = (successes + z * z / 2) / (trials + z * z)
    half = z * math.sqrt(successes * (trials - successes) / trials + z * z / 4) / (trials + z * z)
    rate = successes / trials
    # At 0 and n the limit is exactly 0 or 1; rounding must not push it past the estimate.
    return Interval(rate, min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)))
