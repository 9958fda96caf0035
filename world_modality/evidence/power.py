"""How likely a test finds an effect, and how large one must be, from the standard error it will have."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import nctdtr, ndtr
from scipy.stats import chi2, norm, t


def power_of(effect: float, error: float, freedom: float, alpha: float) -> float:
    """Power of a one-sided t-test of mean 0.

    Args:
        effect: true difference, in the direction tested.
        error: standard error of the estimate; 0 means that any effect is found.
        freedom: degrees of freedom of the standard error; infinity for a known one.
        alpha: level of the one-sided test.
    """
    if error <= 0:
        return 1.0 if effect > 0 else 0.0
    return _tail(effect / error, freedom, _critical(freedom, alpha))


def _critical(freedom: float, alpha: float) -> float:
    return float(norm.isf(alpha) if math.isinf(freedom) else t.isf(alpha, freedom))


def _tail(shift: float, freedom: float, critical: float) -> float:
    """P(T > critical) of the noncentral t."""
    if math.isinf(freedom):
        return float(ndtr(shift - critical))
    reached = 1 - float(nctdtr(freedom, shift, critical))
    # scipy loses the tail of a far shifted noncentral t; the normal approximation is exact enough there.
    return reached if 0 <= reached <= 1 else float(ndtr(shift - critical))


def detectable_effect(error: float, freedom: float, alpha: float, power: float) -> float:
    """The smallest effect that ``power_of`` gives this power; 0.0 for a standard error of 0."""
    if error <= 0:
        return 0.0
    critical = _critical(freedom, alpha)
    return error * _root(lambda shift: _tail(shift, freedom, critical) - power, 0.0, critical + 40.0)


def _root(missing: Callable[[float], float], low: float, far: float) -> float:
    """Where an increasing function that is negative at ``low`` crosses 0; ``far`` is a first guess beyond it.

    With a tiny alpha and two degrees of freedom the root lies at several times the critical value.
    """
    while missing(far) < 0:
        far *= 2
    return float(brentq(missing, low, far))


def equivalence_power(margin: float, error: float, freedom: float, alpha: float, effect: float = 0.0) -> float:
    """Probability that two one-sided t-tests show the true ``effect`` to lie within ``+-margin``.

    Given the estimated standard error s, equivalence is found when the estimate lies within ``margin - t s``; the
    normal probability of that is averaged over the chi distribution of s (Schuirmann 1987, J. Pharmacokinet. 15:657).
    """
    if error <= 0:
        return 1.0 if abs(effect) < margin else 0.0

    def within(ratio: float) -> float:
        room = margin - critical * error * math.sqrt(ratio)
        return float(norm.cdf((room - effect) / error) - norm.cdf((-room - effect) / error)) if room > 0 else 0.0

    critical = _critical(freedom, alpha)
    if math.isinf(freedom):
        return within(1.0)
    widest = (margin / (critical * error)) ** 2
    top = min(widest, float(chi2.isf(1e-12, freedom)) / freedom)

    def weighted(ratio: float) -> float:
        return within(ratio) * freedom * float(chi2.pdf(ratio * freedom, freedom))

    return float(quad(weighted, 0.0, top, limit=200)[0])


def detectable_margin(error: float, freedom: float, alpha: float, power: float) -> float:
    """The smallest margin within which two equal arms are shown to be equivalent with this power."""
    if error <= 0:
        return 0.0
    far = error * (float(t.isf(alpha, freedom)) * 4 + 40.0)
    return _root(lambda margin: equivalence_power(margin, error, freedom, alpha) - power, 1e-9 * error, far)
