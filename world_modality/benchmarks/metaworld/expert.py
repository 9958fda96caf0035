"""MetaWorld's own scripted policies as demonstrators."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.metaworld.simulator import MetaWorldSimulator
from world_modality.benchmarks.noise import TranslationNoise, displace_hand
from world_modality.facts.benchmarks import METAWORLD_ACTION

GRIPPER = 3
CLOSING_STEPS = 15  # control steps that the fingers take to close around something
PHASE_SCALES: Mapping[str, float] = {"reach": 0.3, "hold": 0.15}
"""Standard deviation of the translation noise, in units of the action, by the expert's phase; closing has none."""


class Expert:
    """The policy that MetaWorld scripted for the task; an :class:`~world_modality.benchmarks.contract.Expert`.

    A phase is what its fingers do: ``reach`` while they are told to open or to rest, ``close`` when they are told to
    close until they have, ``hold`` from then on.
    """

    finishing = False
    """It never takes a task for solved: it goes on to where the goal is."""

    def __init__(self, simulator: MetaWorldSimulator, rng: np.random.Generator, noise: float | None = None) -> None:
        """With ``noise``, displace the hand before it begins."""
        from metaworld.policies import ENV_POLICY_MAP

        self._simulator = simulator
        policy: Any = ENV_POLICY_MAP[simulator.name]
        self._policy = policy()
        self._noise: TranslationNoise | None = None
        if noise is not None:
            displace_hand(simulator, rng, METAWORLD_ACTION, noise)
            self._noise = TranslationNoise(noise, rng, PHASE_SCALES, METAWORLD_ACTION)
        self._closed_for = 0

    @property
    def phase(self) -> str:
        """The phase the expert is in after its last action."""
        if self._closed_for == 0:
            return "reach"
        return "close" if self._closed_for <= CLOSING_STEPS else "hold"

    @property
    def delicate(self) -> bool:
        """Whether the fingers are closing: moving them meanwhile loses what is between them."""
        return self.phase == "close"

    def act(self) -> NDArray[np.float32]:
        """The action [4] in [-1, 1] for the current state: translation, gripper."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that an action may be clipped, as it is below
            action = np.asarray(self._policy.get_action(self._simulator.raw()), dtype=np.float32)
        self._closed_for = self._closed_for + 1 if action[GRIPPER] > 0 else 0
        return METAWORLD_ACTION.executed(action)

    def disturb(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The action with the present phase's noise."""
        return action if self._noise is None else self._noise.disturb(action, self.phase)
