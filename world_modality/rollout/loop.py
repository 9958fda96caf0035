"""The closed loop of one unit: look, plan a chunk, execute part of it, look again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.rollout.units import Unit, environment_seed, flow_seed
from world_modality.study.specs import Camera

Frame = NDArray[np.uint8]  # [H, W, 3]


class View(Protocol):
    """What the policy sees at a replan."""

    @property
    def images(self) -> Mapping[Camera, Frame]:
        """Camera name -> picture."""

    @property
    def state(self) -> NDArray[np.float32]:
        """Proprioception, float32 [8]."""


class World(Protocol):
    """The part of a simulator that a rollout needs; ``world_modality.sim.environment.Environment`` is one."""

    @property
    def language(self) -> str:
        """The task's instruction."""

    def init_state_digest(self, init_state: int) -> str:
        """Digest of the bytes of an initial state."""

    def reset(self, init_state: int, seed: int) -> None:
        """Go to an initial state and let it settle."""

    def observe(self) -> Any:
        """Render every camera and read the state: a ``View``."""

    def render(self, camera: Camera) -> Frame:
        """Render one camera; never changes the physics."""

    def step(self, action: NDArray[np.float32]) -> bool:
        """One control step without rendering; whether the goal is reached."""

    def close(self) -> None:
        """Free the simulator."""


class Planner(Protocol):
    """The part of a policy that a rollout needs; ``world_modality.policies.chunk_policy.ChunkPolicy`` is one."""

    def predict(
        self, observation: Any, task: str, seed: int, world_history: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """A chunk of actions, float32 [chunk_size, 7], whose noise depends on ``seed`` alone."""


class History(Protocol):
    """The latents behind a replan; see ``world_modality.rollout.history``."""

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """The cameras whose frames are encoded."""

    def begin(self) -> None:
        """Forget the last unit."""

    def wants(self, step: int, replan_step: int) -> bool:
        """Whether the frame of ``step`` lies in the window of the replan at ``replan_step``."""

    def add(self, step: int, frames: Mapping[Camera, Frame]) -> None:
        """Keep a step's frames, one per camera."""

    def latents(self, step: int) -> NDArray[np.float32]:
        """Latents float32 [T, W] of the window that ends at ``step``."""


class SimulatorCrashError(Exception):
    """The simulator raised: the unit has no outcome and must be run again."""


class PlanError(Exception):
    """The policy gave no usable actions."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a unit ended."""

    success: bool
    steps: int
    replans: int


@contextmanager
def _simulating() -> Iterator[None]:
    """Tell a simulator's failure from a mistake in the policy or here: only the former is worth another attempt."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise SimulatorCrashError(f"{type(error).__name__}: {error}") from error


def run_unit(
    unit: Unit, suite: str, world: World, planner: Planner, history: History | None, n_action_steps: int, horizon: int
) -> Outcome:
    """Roll one unit out until success or ``horizon`` control steps.

    Pictures are rendered at replans and, with a history, at the steps its window needs. Raises
    SimulatorCrashError when the simulator fails and PlanError when the policy's actions are unusable.
    """
    with _simulating():
        world.reset(unit.init_state, environment_seed(suite, unit))
    if history is not None:
        history.begin()
    step = replans = 0
    while step < horizon:
        chunk = _plan(world, planner, history, step, flow_seed(suite, unit, replans))
        replans += 1
        replan_step = step + n_action_steps
        if len(chunk) < n_action_steps:
            raise PlanError(f"a chunk of {len(chunk)} actions cannot give {n_action_steps} steps")
        for action in chunk[:n_action_steps]:
            with _simulating():
                success = world.step(action)
            step += 1
            if success or step == horizon:
                return Outcome(success, step, replans)
            if history is not None and step < replan_step < horizon and history.wants(step, replan_step):
                with _simulating():
                    frames = {camera: world.render(camera) for camera in history.cameras}
                history.add(step, frames)
    return Outcome(False, step, replans)


def _plan(world: World, planner: Planner, history: History | None, step: int, seed: int) -> NDArray[np.float32]:
    """Look and plan: actions float32 [chunk_size, 7] within [-1, 1]."""
    with _simulating():
        view = world.observe()
    latents = None
    if history is not None:
        history.add(step, {camera: view.images[camera] for camera in history.cameras})
        latents = history.latents(step)
    chunk = planner.predict(view, world.language, seed, latents)
    if not np.isfinite(chunk).all():
        raise PlanError(f"the policy's actions are not finite at control step {step}")
    return np.clip(chunk, -1.0, 1.0)
