"""Looking before the last seed is trained: how much error probability each look may spend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from world_modality.evidence.outcomes import Floats

Spending = Literal["obrien_fleming", "pocock"]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(160)
_FAR = 9.0  # standard deviations that stand for infinity
_HIGHEST = 12.0  # no boundary lies beyond


@dataclass(frozen=True, slots=True)
class Looks:
    """A one-sided group-sequential design."""

    information: tuple[float, ...]  # share of the planned seeds at each look, ascending to at most 1
    boundary: tuple[float, ...]  # z that stops the study at each look
    level: tuple[float, ...]  # the p-value that says the same: P(Z >= boundary)
    spent: tuple[float, ...]  # error probability used up to and including each look


def spend(share: float, alpha: float, spending: Spending) -> float:
    """Error probability that may be used up when ``share`` of the information is in (Lan and DeMets 1983).

    O'Brien-Fleming type ``2 - 2 Phi(z(1 - alpha/2) / sqrt(share))``, next to nothing early; Pocock type
    ``alpha ln(1 + (e - 1) share)``, nearly even. Both reach alpha at 1.
    """
    if spending == "obrien_fleming":
        return float(2 * norm.sf(norm.isf(alpha / 2) / math.sqrt(share)))
    return alpha * math.log1p((math.e - 1) * share)


def plan_looks(information: Sequence[float], alpha: float, spending: Spending = "obrien_fleming") -> Looks:
    """Boundaries of a one-sided test at the given information shares.

    Look k's boundary b_k solves ``P(Z_1 < b_1, ..., Z_k >= b_k) = alpha(t_k) - alpha(t_{k-1})``. The scores
    ``Z_k sqrt(t_k)`` have independent normal increments; their density below the boundaries is carried from look to
    look by numerical integration (Armitage, McPherson and Rowe 1969). With few seeds, compare a t-test's p-value with
    ``level`` rather than its statistic with ``boundary`` (Jennison and Turnbull 2000, ch. 11.5). ValueError unless the
    shares ascend within (0, 1].
    """
    if not information or any(not 0 < share <= 1 for share in information) or np.any(np.diff(information) <= 0):
        raise ValueError(f"information shares must ascend within (0, 1], got {list(information)}")
    boundary: list[float] = []
    spent: list[float] = []
    leave: Callable[[float], float] = norm.sf  # P(still in, and Z >= z) at this look
    scores: Floats = np.zeros(0)
    weights: Floats = np.zeros(0)
    for look, share in enumerate(information):
        spent.append(spend(share, alpha, spending))
        due = spent[-1] - (spent[-2] if look else 0.0)
        boundary.append(_where(leave, due))
        if look + 1 < len(information):
            earlier = information[look - 1] if look else 0.0
            scores, weights = _carry(scores, weights, earlier, share, boundary[-1])
            leave = _exit(scores, weights, share, information[look + 1])
    return Looks(tuple(information), tuple(boundary), tuple(float(norm.sf(b)) for b in boundary), tuple(spent))


def _where(leave: Callable[[float], float], due: float) -> float:
    """The z beyond which ``due`` of the probability lies; at most ``_HIGHEST``."""
    return _HIGHEST if leave(_HIGHEST) >= due else float(brentq(lambda z: leave(z) - due, -5.0, _HIGHEST))


def _carry(scores: Floats, weights: Floats, earlier: float, share: float, boundary: float) -> tuple[Floats, Floats]:
    """Quadrature of the score ``Z sqrt(share)`` where the study goes on: points and probabilities, both [nodes]."""
    low, high = -_FAR * math.sqrt(share), boundary * math.sqrt(share)
    points = low + (high - low) * (_NODES + 1) / 2
    step = _WEIGHTS * (high - low) / 2
    if not scores.size:
        return points, step * norm.pdf(points, scale=math.sqrt(share))
    moves = norm.pdf(points[:, None], loc=scores[None, :], scale=math.sqrt(share - earlier))
    return points, step * (moves @ weights)


def _exit(scores: Floats, weights: Floats, share: float, following: float) -> Callable[[float], float]:
    spread = math.sqrt(following - share)
    return lambda z: float(weights @ norm.sf((z * math.sqrt(following) - scores) / spread))
