"""Disturbances for demonstrations: the executed action is noisy while the label stays the expert's.

So the data show how to come back from where a policy's own errors lead (DART, Laskey et al. 2017, arXiv:1703.09327).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.contract import Simulator
from world_modality.facts.benchmarks import ActionLayout

MEMORY = 0.7  # correlation of the noise from one control step to the next
MAX_DISPLACEMENT_STEPS = 10
DISPLACEMENT = np.array([0.4, 0.4, 0.25])  # standard deviation of the displacing action per axis
DISPLACEMENT_LIMIT = 0.8


class TranslationNoise:
    """Ornstein-Uhlenbeck-like noise on the first three numbers of an action, which move the hand, scaled by phase.

    x_{t+1} = a x_t + sqrt(1 - a^2) s w_t with w_t ~ N(0, I): s is the stationary standard deviation in a phase.
    """

    def __init__(
        self, scale: float, rng: np.random.Generator, phases: Mapping[str, float], layout: ActionLayout
    ) -> None:
        """``phases`` has each phase's standard deviation, in units of the action; others have none.

        ``scale`` multiplies all of them; 0 turns the noise off.
        """
        self._scale, self._rng, self._phases, self._layout = scale, rng, phases, layout
        self._value = np.zeros(3)

    def disturb(self, action: ArrayLike, phase: str) -> NDArray[np.float32]:
        """The action [A] to execute for a clean ``action`` [A] of a phase, clipped."""
        drive = self._scale * self._phases.get(phase, 0.0) * self._rng.normal(size=3)
        self._value = MEMORY * self._value + np.sqrt(1.0 - MEMORY**2) * drive
        noisy = np.array(action, dtype=np.float32)
        if phase in self._phases:
            noisy[:3] = np.clip(noisy[:3] + self._value, self._layout.low, self._layout.high)
        return noisy


def displace_hand(simulator: Simulator, rng: np.random.Generator, layout: ActionLayout, scale: float = 1.0) -> int:
    """Drive the open hand 0 to 10 control steps in a random direction; call it after ``reset``.

    Returns:
        The number of steps executed; 0 if ``scale`` is 0.
    """
    direction = np.clip(scale * DISPLACEMENT * rng.normal(size=3), -DISPLACEMENT_LIMIT, DISPLACEMENT_LIMIT)
    steps = int(rng.integers(0, MAX_DISPLACEMENT_STEPS + 1)) if scale > 0 else 0
    action = np.array(layout.no_op, dtype=np.float32)
    action[:3] = direction
    for _ in range(steps):
        simulator.step(action)
    return steps
