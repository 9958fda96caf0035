"""The one loop that records an episode: look, decide, act, until the task is solved or time is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from world_modality.data.pictures import encode_png
from world_modality.data.schema import ACTION_SIZE, CAMERAS
from world_modality.study.specs import Camera

STEPS_AFTER_SUCCESS = 3  # enough to see it; more would teach a policy to dawdle

Action = NDArray[np.float32]  # [7], each in [-1, 1]


@dataclass(frozen=True)
class Decision:
    """What a driver says at one step: the action to learn here, the one to execute, and the expert's phase."""

    label: Action
    executed: Action
    phase: str


Driver = Callable[[Any], Decision]
"""Decides on an ``Observation`` of the world it was made for."""


class World(Protocol):
    """The part of a simulator that recording needs; ``world_modality.sim.environment.Environment`` is one."""

    def observe(self) -> Any:
        """Pictures uint8 [H, W, 3] by camera (``.images``) and state float32 [8] (``.state``)."""

    def step(self, action: Action) -> bool:
        """Execute one control step; whether the task is now solved."""


@dataclass(frozen=True)
class Recording:
    """What was seen and said at L steps: PNG bytes per camera, states float32 [L, 8], labels float32 [L, 7], phases."""

    pictures: dict[Camera, tuple[bytes, ...]]
    states: NDArray[np.float32]
    labels: NDArray[np.float32]
    phases: tuple[str, ...]
    success: bool

    def __len__(self) -> int:
        return len(self.states)

    def first(self, steps: int) -> Recording:
        """The first ``steps`` steps alone."""
        pictures = {camera: each[:steps] for camera, each in self.pictures.items()}
        return Recording(pictures, self.states[:steps], self.labels[:steps], self.phases[:steps], self.success)


def record(world: World, driver: Driver, max_steps: int) -> Recording:
    """Let ``driver`` act in a world that was reset, from now until shortly after success or for ``max_steps``."""
    seen: list[Any] = []
    decisions: list[Decision] = []
    remaining, success = max_steps, False
    while remaining:
        observation = world.observe()
        decision = driver(observation)
        solved = world.step(decision.executed)
        seen.append(({camera: encode_png(observation.images[camera]) for camera in CAMERAS}, observation.state))
        decisions.append(decision)
        remaining -= 1
        if solved and not success:
            success, remaining = True, min(remaining, STEPS_AFTER_SUCCESS - 1)
    return Recording(
        pictures={camera: tuple(pictures[camera] for pictures, _ in seen) for camera in CAMERAS},
        states=np.stack([state for _, state in seen]).astype(np.float32),
        labels=np.stack([decision.label for decision in decisions]).astype(np.float32).reshape(-1, ACTION_SIZE),
        phases=tuple(decision.phase for decision in decisions),
        success=success,
    )
