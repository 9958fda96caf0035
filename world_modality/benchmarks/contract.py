"""The simulator contract: what a benchmark brings, and the one place that opens it.

A benchmark is a row of :data:`world_modality.facts.benchmarks.SUITES` and the code that the row names: something that
opens a :class:`Simulator`, and, if its tasks can be demonstrated, something that makes an :class:`Expert`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.assets import SETTING, asset_tree
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES, Suite
from world_modality.study.specs import SimSpec

Picture = NDArray[np.uint8]
"""[H, W, 3], as in the benchmark's datasets."""
Action = NDArray[np.float32]
"""[A], in the order and units of the suite's :class:`~world_modality.facts.benchmarks.ActionLayout`."""
Pose = NDArray[np.float64]
"""[7]: position in the world (m) and unit quaternion (w, x, y, z)."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a policy sees: a picture per camera asked for, in that order, and the state float32 [S]."""

    images: Mapping[str, Picture]
    state: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Step:
    """What one control step led to."""

    success: bool
    """Whether the task's goal holds now."""
    terminated: bool
    """Whether the simulator ends the episode here, solved or not: it takes no further step of it."""
    reward: float
    progress: float
    """Fraction of the goal's parts that hold now, 0 to 1; success or not as 1 or 0 where a goal has no parts."""


class Simulator(Protocol):
    """One task of a suite, for many episodes.

    The same (spec, task, assets, init_state, seed, actions) give the same positions and pictures bit for bit, in any
    process and after any history. Nothing but ``reset``, ``step`` and ``restore`` changes the physics. After ``close``
    every method raises RuntimeError, but ``close`` itself.
    """

    @property
    def language(self) -> str:
        """The task's instruction."""

    @property
    def init_state_digest(self) -> str:
        """16 hex digits of the state that the episode under way started from: the recorded one, or the one drawn."""

    def reset(self, init_state: int | None, seed: int) -> None:
        """Start an episode: seed, initial state, and the spec's settling steps of no-op.

        Args:
            init_state: a recorded one; None to draw the scene.
            seed: 0 to 2^63 - 1; decides the draw, and what a recorded state leaves open.

        Raises:
            UserError: there is no such recorded state.
        """

    def observe(self, cameras: Sequence[str] | None = None) -> Observation:
        """Render these cameras, by default all of the suite's in its order, and read the state."""

    def render(self, camera: str) -> Picture:
        """Render one camera."""

    def step(self, action: ArrayLike) -> Step:
        """Execute one action [A] for one control step, without rendering."""

    def poses(self) -> Mapping[str, Pose]:
        """Where every movable thing and fixture of the scene is now, by name; after ``reset``, where it settled."""

    def close(self) -> None:
        """Free the simulator; a second call does nothing."""


@runtime_checkable
class Restorable(Protocol):
    """A simulator that can go back: what follows ``restore`` is bit for bit what followed ``snapshot``."""

    def snapshot(self) -> Any:
        """All that the episode's future depends on; only the simulator that made it can use it, in any episode."""

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""


@runtime_checkable
class Referenced(Protocol):
    """A simulator of a benchmark whose scenes are known to settle in one way, whatever simulates them."""

    def start_fault(self) -> str:
        """What of the scene that the episode started from is not as known, in words; empty if all is."""


@runtime_checkable
class Measured(Protocol):
    """A simulator that tells how far its goal is from being reached."""

    def goal_distances(self) -> Mapping[str, float]:
        """How far each part of the goal is from holding now, by its name; 0 where it holds, empty if it cannot be told.

        In metres, or as the share of a joint's way: each part in one unit, so that only the same part can be compared.
        """


@runtime_checkable
class Tangible(Protocol):
    """A simulator that tells what can be moved and what the hand touches, for probes of what pictures show."""

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of what can be moved, as in ``poses``."""

    def hand(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """World position [3] (m) and rotation matrix [3, 3] of the point between the fingers."""

    def touched(self) -> frozenset[str]:
        """Names of the objects that the hand or its fingers touch now."""


class Expert(Protocol):
    """Demonstrates a task from privileged state; made anew for every episode, after the simulator's ``reset``, and for
    every look ahead of a memory, in the middle of an episode that somebody else has driven.

    The suite's row names ``(simulator, rng, noise) -> Expert``. With ``noise``, a scale, it demonstrates under
    disturbance and may have driven the robot a little when it is ready; with None nothing is disturbed.
    """

    @property
    def phase(self) -> str:
        """What the last action was part of, for people."""

    @property
    def delicate(self) -> bool:
        """Whether one wrong step in the last action's place would end the attempt: nobody else should drive then."""

    @property
    def finishing(self) -> bool:
        """Whether it has taken the task for solved since the last action: what it says then is right only if so."""

    def act(self) -> Action:
        """The right action [A] now; called once per control step."""

    def disturb(self, action: Action) -> Action:
        """What a demonstration executes in place of the ``action`` that it learns; ``action`` itself without noise."""


def open_simulator(spec: SimSpec, task: int, assets: Path | None) -> Simulator:
    """The simulator of a task, with the ``assets`` that :func:`open_assets` has checked.

    Raises:
        UserError: no such suite, task or style of pictures, or the assets lack what the task needs.
    """
    suite = SUITES[spec.suite]
    if not 0 <= task < suite.tasks:
        raise UserError(f"{suite.name} has no task {task}: its tasks are 0 to {suite.tasks - 1}")
    if spec.render not in suite.renders:
        raise UserError(f"{suite.name} cannot be drawn '{spec.render}': set render to {' or '.join(suite.renders)}")
    simulator: Simulator = suite.simulator.load()(spec, task, assets)
    return simulator


def simulator_spec(
    suite: Suite,
    assets: str | None,
    *,
    camera_size: int,
    render: str,
    settle_steps: int | None = None,
    exact: bool = False,
    setting: str = SETTING,
) -> SimSpec:
    """How to simulate a suite with a source's object models as they are now; ``settle_steps`` by default the suite's.

    ``assets`` is by default the first source that the suite knows, ``setting`` what the user named the source by.

    Raises:
        UserError: the object models cannot be had, or a source is named and the suite needs none.
    """
    tree, source, digest = asset_tree(suite.name), "", ""
    if tree is None and assets is not None:
        raise UserError(f"{setting} is {assets}, but {suite.name} needs no object models; leave it out")
    if tree is not None:
        source = tree.pin(suite.assets[0] if assets is None else assets)
        digest = tree.digest(source, setting=setting)
    return SimSpec(
        suite=suite.name,
        assets=source,
        assets_digest=digest,
        camera_size=camera_size,
        render=render,
        settle_steps=suite.settle_steps if settle_steps is None else settle_steps,
        exact=exact,
    )


def open_assets(spec: SimSpec) -> Path | None:
    """The folder of the assets that ``spec`` was planned with; None for a suite that needs none.

    Raises:
        UserError: its content is another one by now, or it cannot be had.
    """
    tree = asset_tree(spec.suite)
    return None if tree is None else tree.open(spec.assets, spec.assets_digest)


def make_expert(suite: Suite, simulator: Simulator, rng: np.random.Generator, noise: float | None) -> Expert:
    """What demonstrates the episode that ``simulator`` was reset to.

    Raises:
        UserError: the suite has no expert.
    """
    if suite.expert is None:
        known = ", ".join(other.name for other in SUITES if other.expert is not None)
        raise UserError(f"{suite.name} has no expert that demonstrates its tasks, only {known}")
    expert: Expert = suite.expert.load()(simulator, rng, noise)
    return expert
