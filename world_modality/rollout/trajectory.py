"""One episode under way: where it stands, and what has to happen next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Observation, Picture
from world_modality.errors import UserError
from world_modality.facts.benchmarks import Suite
from world_modality.rollout.episodes import Episode, flow_seed
from world_modality.rollout.messages import Act, Begin, Did, Scene, Way, onward

Window = tuple[NDArray[np.uint8], ...]
"""The frames [F, H, W, 3] of each of the memory's cameras that an episode's latents are made of."""


class Foresight(Protocol):
    """How a rollout looks ahead for the frames that the memory is made of; see ``world_modality.rollout.history``."""

    @property
    def driver(self) -> str:
        """Who acts meanwhile: "policy", with zero memory, or "expert"."""

    @property
    def steps(self) -> int:
        """Control steps that are looked ahead: the K frames of the memory."""

    def encode(self, seen: Sequence[tuple[Window, int]]) -> list[NDArray[np.float32]]:
        """Latents float32 [K, P, W] of each window's last frames, so many of them; past those the last one repeats."""


class History(Protocol):
    """The frames around an episode's replans, and their latents; see ``world_modality.rollout.history``."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras whose frames are encoded."""

    @property
    def alone(self) -> bool:
        """Whether the policy looks at nothing but these latents."""

    @property
    def reads(self) -> bool:
        """Whether a query is told latents of the window that ends there."""

    @property
    def foresight(self) -> Foresight | None:
        """How the frames to come are found; None if no query is told of any."""

    def wants(self, step: int, replan_step: int) -> bool:
        """Whether the frame of ``step`` lies in the window of the replan at ``replan_step``."""

    def add(self, step: int, frames: Mapping[str, Picture]) -> None:
        """Keep a step's frames, one per camera."""

    def window(self, step: int) -> Window:
        """The window that ends at ``step``."""

    def ahead(self) -> History:
        """The same of an episode that leaves this one here, which also keeps what is to come until it is encoded."""

    def coming(self, step: int, last: int) -> Window:
        """The frames that the clips of the steps after ``step``, up to ``last``, reach back to."""

    def encode(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """Latents float32 [T, W] of each window, whichever episode's it is, a function of that window alone."""


@dataclass(eq=False)
class Trajectory:
    """An episode in a slot, from its reset to its outcome.

    Observe, infer a chunk, execute part of it, observe again. What a chunk becomes depends on the episode and on what
    it saw alone: never on the slot, on other episodes or on time.
    """

    slot: int
    episode: Episode
    environment_seed: int  # of the simulator at reset
    suite: Suite
    n_action_steps: int
    horizon: int
    past_steps: int  # views before the present one that the policy wants
    history: History | None
    started: float
    step: int = 0
    replans: int = 0
    scene: Scene | None = None
    view: Observation | None = field(default=None, repr=False)  # what the next chunk is to be planned from
    seen: dict[int, Observation] = field(
        default_factory=dict, repr=False
    )  # by step, as far as the policy wants earlier ones
    ahead_steps: int = 0  # control steps that were looked ahead,
    ahead_queries: int = 0  # and chunks that were planned for that
    over: bool = False
    success: bool = False
    progress: float | None = None  # of the goal's parts, after the last control step
    distances: Mapping[str, Way] = field(default_factory=dict)  # of the goal's parts so far
    episode_return: float = 0.0
    digest: Any = field(default_factory=sha256, repr=False)  # of all that was seen at queries and all that was done

    def begin(self) -> Begin:
        """The command to start with; UserError if the suite has no such initial state."""
        episode = self.episode
        state = self.suite.recorded(episode.init_state)
        return Begin(self.slot, episode.task, state, self.environment_seed, self._views)

    def advance(self, did: Did) -> None:
        """Take in what a command led to."""
        self.scene = did.scene or self.scene
        if self.history is not None:
            for offset, frames in sorted(did.frames.items()):
                self.history.add(self.step + offset, frames)
        self.seen |= {self.step + offset: view for offset, view in did.observations.items()}
        self.step += did.steps
        self.episode_return += did.reward
        self.distances = onward(self.distances, did.distances)
        self.view = did.view
        if did.last is not None:
            self.success, self.progress = did.last.success, did.last.progress
            self.over = did.last.success or did.last.terminated or self.step >= self.horizon
        if self.view is not None:
            self.seen[self.step] = self.view
            for picture in (*self.view.images.values(), self.view.state):
                self.digest.update(np.ascontiguousarray(picture).tobytes())
        self.seen = {step: view for step, view in self.seen.items() if step >= self.step - self.past_steps}
        if self.history is not None and self.view is not None:
            self.history.add(self.step, {camera: self.view.images[camera] for camera in self.history.cameras})

    def ahead(self) -> Trajectory:
        """How the episode may go on from here, as far as the memory looks ahead; this one stays as it is.

        Also beyond the episode's horizon, which ends the evaluation and not the world.
        """
        assert self.history is not None
        assert self.history.foresight is not None
        history, horizon = self.history.ahead(), self.step + self.history.foresight.steps
        return replace(self, history=history, horizon=horizon, seen=dict(self.seen), digest=sha256())

    def views(self) -> tuple[Observation, ...]:
        """What the policy is shown, oldest first: the first view is repeated where an episode is younger than that."""
        seen = tuple(self.seen[step] for step in sorted(self.seen))
        return (seen[0],) * (self.past_steps + 1 - len(seen)) + seen

    @property
    def flow_seed(self) -> int:
        """Seed of the next chunk's noise."""
        return flow_seed(self.suite.name, self.episode, self.replans)

    def act(self, chunk: NDArray[np.float32]) -> Act:
        """The command to execute as much of ``chunk`` [chunk_size, A] as comes before the next query.

        UserError if its numbers are unusable.
        """
        if len(chunk) < self.n_action_steps:
            raise UserError(f"a chunk of {len(chunk)} actions cannot give {self.n_action_steps} steps")
        if chunk.shape[1:] != (self.suite.action.size,):
            names = ", ".join(self.suite.action.names)
            raise UserError(
                f"a chunk of shape {list(chunk.shape)} holds no actions of {self.suite.name}, which have "
                f"{self.suite.action.size} numbers ({names})"
            )
        if not np.isfinite(chunk).all():
            raise UserError(f"the policy's actions are not finite at control step {self.step}")
        self.view, self.replans = None, self.replans + 1
        count = min(self.n_action_steps, self.horizon - self.step)
        replan = self.step + count
        observe = replan < self.horizon
        cameras: tuple[str, ...] = ()
        frames: tuple[int, ...] = ()
        if self.history is not None and observe:
            cameras = self.history.cameras
            frames = tuple(offset for offset in range(1, count) if self.history.wants(self.step + offset, replan))
        observations = tuple(range(count - min(self.past_steps, count - 1), count)) if observe else ()
        actions = self.suite.action.executed(chunk[:count])
        self.digest.update(np.ascontiguousarray(actions, np.float32).tobytes())
        return Act(self.slot, actions, cameras, frames, observations, observe, self._views)

    @property
    def _views(self) -> tuple[str, ...] | None:
        """The cameras that a view holds, None for all: what nobody looks at is not rendered."""
        return self.history.cameras if self.history is not None and self.history.alone else None
