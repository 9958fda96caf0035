"""What the rollout and its simulator processes say to each other; all of it can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import Observation, Picture, Pose, Step
from world_modality.facts.table import Reference


@dataclass(frozen=True, slots=True)
class Begin:
    """Put a slot's simulator at the start of an episode and observe."""

    slot: int
    task: int
    init_state: int | None  # None: the seed decides the scene
    seed: int
    views: tuple[str, ...] | None = None  # the cameras of every view of the policy's; None for all


@dataclass(frozen=True, slots=True)
class Act:
    """Execute a slot's next actions; ends early when the episode does."""

    slot: int
    actions: NDArray[np.float32]  # [n, A]
    cameras: tuple[str, ...]  # to render on the way ...
    frames: tuple[int, ...]  # ... after so many of these actions
    observations: tuple[int, ...]  # after so many of these actions, a whole view on the way
    observe: bool  # whether the policy is to see what comes after the last one
    views: tuple[str, ...] | None = None  # as in the beginning


@dataclass(frozen=True, slots=True)
class Ahead:
    """Try out what comes next in a slot's episode, every step in the picture; the episode itself stays where it is.

    One look is one command, or several while ``observe`` asks for what the next actions are to be planned from. The
    simulator goes back to where the look began when it is over: after a command that does not ask, or where the episode
    would have ended.
    """

    slot: int
    begins: bool  # whether the look begins here
    steps: int
    actions: NDArray[np.float32] | None  # [steps, A]; None: the expert's
    expert: Reference | None  # what demonstrates the suite's tasks, where it is to act
    seed: int  # of the expert's draws, if it makes any
    cameras: tuple[str, ...]  # to render after every step
    observations: tuple[int, ...]  # after so many of these actions, a whole view on the way
    observe: bool  # whether the policy is to see what comes after the last one, and go on
    views: tuple[str, ...] | None = None  # as in the beginning


Command = Begin | Act | Ahead


@dataclass(frozen=True, slots=True)
class Scene:
    """The episode's task and initial state as the simulator found them, and the scene that came of it."""

    language: str
    init_state_digest: str
    settled: Mapping[str, Pose]
    start_fault: str


@dataclass(frozen=True, slots=True)
class Timing:
    """CPU seconds of a simulator process on a command."""

    reset: float = 0.0
    physics: float = 0.0
    render: float = 0.0


class Way(NamedTuple):
    """How far a part of the goal was from holding over some control steps, in its unit."""

    start: float
    least: float
    end: float

    def then(self, later: Way) -> Way:
        """Over these steps and some that came after them."""
        return Way(self.start, min(self.least, later.least), later.end)


def onward(ways: Mapping[str, Way], later: Mapping[str, Way]) -> dict[str, Way]:
    """Each part's way over some steps and those that came after them; one that is told of no more ends where it was."""
    return {**ways, **{name: ways[name].then(way) if name in ways else way for name, way in later.items()}}


@dataclass(frozen=True, slots=True)
class Did:
    """A command was carried out."""

    slot: int
    scene: Scene | None  # after Begin
    steps: int  # control steps executed
    last: Step | None  # what the last of them led to; None after Begin
    reward: float  # sum over them
    view: Observation | None  # None when nothing is to be planned: the episode is over, or the command said so
    frames: Mapping[int, Mapping[str, Picture]]  # by the number of actions before them
    observations: Mapping[int, Observation]
    timing: Timing
    distances: Mapping[str, Way] = field(default_factory=dict)  # by part of the goal, where the simulator tells them


@dataclass(frozen=True, slots=True)
class Broke:
    """The simulator raised in a command: its episode has no outcome."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The study asks for what the simulator cannot do, in one sentence for the user."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A simulator process has started and will carry out commands."""


Outcome = Did | Broke | Refused
Answer = Ready | Outcome
