"""The one loop that records an episode: look, decide, act, until the task is solved or time is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Action, Observation, Simulator
from world_modality.data.frames import encode_png

STEPS_AFTER_SUCCESS = 3  # enough to see it; more would teach a policy to dawdle


@dataclass(frozen=True)
class Decision:
    """What a driver says at one step: the action to learn here, and the one to execute."""

    label: Action
    executed: Action
    finishing: bool
    """Whether the expert takes the task for solved from here on."""


Driver = Callable[[Observation], Decision]
"""Decides on what is seen in the simulator that it was made for."""


@dataclass(frozen=True)
class Recording:
    """What was seen and said at L steps: PNG bytes per camera, states float32 [L, S], labels float32 [L, A]."""

    pictures: dict[str, tuple[bytes, ...]]
    states: NDArray[np.float32]
    labels: NDArray[np.float32]
    finishing: tuple[bool, ...]
    """As the decisions say."""
    success: bool

    def __len__(self) -> int:
        return len(self.states)

    def first(self, steps: int) -> Recording:
        """The first ``steps`` steps alone."""
        pictures = {camera: each[:steps] for camera, each in self.pictures.items()}
        return Recording(pictures, self.states[:steps], self.labels[:steps], self.finishing[:steps], self.success)


def record(simulator: Simulator, driver: Driver, max_steps: int) -> Recording:
    """Let ``driver`` act in a simulator that was reset, until shortly after success, its end, or for ``max_steps``."""
    pictures: dict[str, list[bytes]] = {}
    states: list[NDArray[np.float32]] = []
    decisions: list[Decision] = []
    remaining, success = max_steps, False
    while remaining:
        observation = simulator.observe()
        decision = driver(observation)
        step = simulator.step(decision.executed)
        for camera, picture in observation.images.items():
            pictures.setdefault(camera, []).append(encode_png(picture))
        states.append(observation.state)
        decisions.append(decision)
        remaining -= 1
        if step.success and not success:
            success, remaining = True, min(remaining, STEPS_AFTER_SUCCESS - 1)
        if step.terminated:
            break
    return Recording(
        pictures={camera: tuple(each) for camera, each in pictures.items()},
        states=np.stack(states).astype(np.float32),
        labels=np.stack([decision.label for decision in decisions]).astype(np.float32),
        finishing=tuple(decision.finishing for decision in decisions),
        success=success,
    )
