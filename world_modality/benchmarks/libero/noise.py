"""Disturbances for demonstrations: the executed action is noisy while the label stays the expert's.

So the data show how to come back from where a policy's own errors lead (DART, Laskey et al. 2017, arXiv:1703.09327).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.facts.benchmarks import LIBERO_ACTION

MEMORY = 0.7  # correlation of the noise from one control step to the next
PHASE_SCALES: Mapping[str, float] = {
    "reach": 0.25,
    "descend": 0.12,
    "lift": 0.12,
    "carry": 0.18,
    "lower": 0.05,
    "pull": 0.05,
    "push": 0.05,
    "recover": 0.20,
}
"""Standard deviation of the translation noise, in units of the action, by the expert's phase; others have none."""

MAX_DISPLACEMENT_STEPS = 10
DISPLACEMENT = np.array([0.4, 0.4, 0.25])  # standard deviation of the displacing action per axis
DISPLACEMENT_LIMIT = 0.8


class ActionNoise:
    """Ornstein-Uhlenbeck-like noise on the three translation components, scaled by phase.

    x_{t+1} = a x_t + sqrt(1 - a^2) s w_t with w_t ~ N(0, I): s is the stationary standard deviation in a phase.
    """

    def __init__(self, scale: float, rng: np.random.Generator) -> None:
        """``scale`` multiplies every phase's standard deviation; 0 turns the noise off."""
        self._scale = scale
        self._rng = rng
        self._value = np.zeros(3)

    def disturb(self, action: ArrayLike, phase: str) -> NDArray[np.float32]:
        """The action [7] to execute for a clean ``action`` [7] of a phase, clipped."""
        drive = self._scale * PHASE_SCALES.get(phase, 0.0) * self._rng.normal(size=3)
        self._value = MEMORY * self._value + np.sqrt(1.0 - MEMORY**2) * drive
        noisy = np.array(action, dtype=np.float32)
        if phase in PHASE_SCALES:
            noisy[:3] = np.clip(noisy[:3] + self._value, LIBERO_ACTION.low, LIBERO_ACTION.high)
        return noisy


def displace_arm(env: LiberoSimulator, rng: np.random.Generator, scale: float = 1.0) -> int:
    """Drive the open hand 0 to 10 control steps in a random direction; call it after ``reset``.

    Returns:
        The number of steps executed; 0 if ``scale`` is 0.
    """
    direction = np.clip(scale * DISPLACEMENT * rng.normal(size=3), -DISPLACEMENT_LIMIT, DISPLACEMENT_LIMIT)
    steps = int(rng.integers(0, MAX_DISPLACEMENT_STEPS + 1)) if scale > 0 else 0
    action = np.array(LIBERO_ACTION.no_op, dtype=np.float32)
    action[:3] = direction
    for _ in range(steps):
        env.step(action)
    return steps
