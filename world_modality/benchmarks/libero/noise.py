"""LIBERO's disturbances: how much a demonstration is disturbed in each phase of the expert."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.benchmarks.noise import TranslationNoise, displace_hand
from world_modality.facts.benchmarks import LIBERO_ACTION

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


class ActionNoise(TranslationNoise):
    """On the three translation components of LIBERO's action [7]."""

    def __init__(self, scale: float, rng: np.random.Generator) -> None:
        """``scale`` multiplies every phase's standard deviation; 0 turns the noise off."""
        super().__init__(scale, rng, PHASE_SCALES, LIBERO_ACTION)


def displace_arm(env: LiberoSimulator, rng: np.random.Generator, scale: float = 1.0) -> int:
    """As :func:`~world_modality.benchmarks.noise.displace_hand`."""
    return displace_hand(env, rng, LIBERO_ACTION, scale)
