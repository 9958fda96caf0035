"""An effect: how much better one arm does than another, how sure that is, and about what it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from world_modality.evidence.rates import Interval

Scope = Literal["checkpoint", "recipe"]
"""checkpoint: these trained weights, on scenes like these. recipe: training anew with another seed, on these scenes."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How sure a result must be."""

    alpha: float = 0.05  # of each one-sided test, and of the one-sided bounds that say the same
    confidence: float = 0.95  # of the two-sided interval
    power: float = 0.8  # that the smallest detectable difference is detected with

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie strictly between 0 and 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Effect:
    """``treated - control`` as fractions (not percent).

    ``bounds`` are the limits that the tests decide by: below ``bounds.low`` and above ``bounds.high`` the difference
    lies with error probability alpha each, so they are narrower than a two-sided interval at 1 - alpha.
    """

    scope: Scope
    method: str
    levels: Levels  # of its tests, bounds and interval
    interval: Interval  # two-sided, at levels.confidence
    bounds: Interval
    p_greater: float  # of the test whose null hypothesis is treated <= control
    p_less: float  # of the one whose null hypothesis is treated >= control
    episodes: int  # per arm
    clusters: int  # scenes
    seeds: int
    detectable: float  # smallest difference found with the levels' power; NaN where nothing is known about it
    problem: str = ""  # why nothing can be said, if so

    @property
    def estimate(self) -> float:
        """The difference as observed."""
        return self.interval.estimate

    @property
    def p_two_sided(self) -> float:
        """Twice the smaller one-sided p-value, at most 1."""
        return min(1.0, 2 * min(self.p_greater, self.p_less))


def unknown(
    scope: Scope, method: str, levels: Levels, estimate: float, counts: tuple[int, int, int], why: str
) -> Effect:
    """An effect about which the data say nothing beyond the estimate; ``counts`` are episodes, clusters and seeds."""
    everything = Interval(estimate, -1.0, 1.0)
    return Effect(scope, method, levels, everything, everything, 1.0, 1.0, *counts, float("nan"), problem=why)


def is_equivalent(bounds: Interval, margin: float) -> bool:
    """Whether both one-sided bounds at alpha lie within ``+-margin``: the same decision as TOST
    (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657) at alpha."""
    return -margin < bounds.low and bounds.high < margin
