"""A task of LIBERO whose goal moves, and is reached only when it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from world_modality.benchmarks.contract import Step
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.benchmarks.libero.snapshot import Snapshot
from world_modality.benchmarks.libero.tasks import Task
from world_modality.benchmarks.moving.driven import DrivenObject
from world_modality.benchmarks.moving.motion import Motion, drawn
from world_modality.benchmarks.moving.tasks import HOLD_STEPS, TASKS, TOLERANCE, load_moving_task
from world_modality.facts.benchmarks import LIBERO_ACTION
from world_modality.study.specs import SimSpec


@dataclass(frozen=True)
class MovingSnapshot(Snapshot):
    """A moment between two control steps of an episode with a goal that moves."""

    motion: Motion
    rest: NDArray[np.float64]
    ticks: int
    held: int
    at_goal: bool


class MovingSimulator(LiberoSimulator):
    """A :class:`~world_modality.benchmarks.contract.Simulator` that can also be restored.

    The goal stands still while the scene settles; then it stands at its start, and moves from the first step on.
    """

    def __init__(self, spec: SimSpec, task: int, assets: Path) -> None:
        """As :class:`~world_modality.benchmarks.libero.simulator.LiberoSimulator`."""
        self._motion: Motion | None = None
        self._ticks = 0  # physics steps since the goal began to move
        self._held = 0  # control steps in a row that ended with the thing at its goal and the hand open
        self.at_goal = False
        """Whether the thing was at its goal after the last step."""
        self.moving = TASKS[task]
        super().__init__(spec, task, assets)

    @property
    def motion(self) -> Motion:
        """How the goal moves in this episode, for experts and tests, not for policies; RuntimeError before a reset."""
        if self._motion is None:
            raise RuntimeError("nothing moves before the first reset")
        return self._motion

    @property
    def time(self) -> float:
        """Seconds since the goal began to move."""
        return self._ticks * float(self.robosuite.model_timestep)

    def beside(self) -> float:
        """How far from the middle of its goal the thing is, sideways (m)."""
        _, thing, target = self.goal[0]
        return float(np.linalg.norm((self.position(thing) - self.position(target))[:2]))

    def goal_distances(self) -> Mapping[str, float]:
        """How far the thing is from the goal where that is now (m); 0 once it is at it, kept or not."""
        ((name, distance),) = super().goal_distances().items()
        return {name: 0.0 if self.at_goal else max(distance, self.beside())}

    def reset(self, init_state: int | None, seed: int) -> None:
        """As LIBERO's; then the goal is taken to where the initial state lets it start."""
        self._motion, self._held, self.at_goal = None, 0, False
        super().reset(init_state, seed)
        self._goal_object = DrivenObject(self._sim_env, self.moving.goal)
        self.begin(drawn(self.moving.field, self.init_state_digest, seed))

    def begin(self, motion: Motion) -> None:
        """Let the goal move so from now on; ``reset`` has drawn its own motion."""
        self._motion, self._ticks = motion, 0
        self._goal_object.put(*motion.at(0.0))
        self.robosuite.sim.forward()
        self._look()
        self._seen_pose = self._measure_pose()

    def step(self, action: ArrayLike) -> Step:
        """Execute one action [7]; success is the goal kept for ``HOLD_STEPS`` with a hand that is told to be open.

        Progress is the fraction of these steps that have passed.
        """
        self.at_goal = super().step(action).success and self.beside() < TOLERANCE
        gripper = LIBERO_ACTION.gripper
        assert gripper is not None
        let_go = float(np.asarray(action)[gripper.index]) * gripper.open > 0
        self._held = self._held + 1 if self.at_goal and let_go else 0
        success = self._held >= HOLD_STEPS
        return Step(success, terminated=False, reward=float(success), progress=min(1.0, self._held / HOLD_STEPS))

    def snapshot(self) -> MovingSnapshot:
        """The moment between two steps; see :class:`~world_modality.benchmarks.contract.Restorable`."""
        scene = vars(super().snapshot())
        return MovingSnapshot(
            **scene,
            motion=self.motion,
            rest=self._goal_object.rest.copy(),
            ticks=self._ticks,
            held=self._held,
            at_goal=self.at_goal,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this simulator."""
        super().restore(snapshot)
        assert isinstance(snapshot, MovingSnapshot)  # as its own are
        self._motion, self._ticks = snapshot.motion, snapshot.ticks
        self._held, self.at_goal = snapshot.held, snapshot.at_goal
        self._goal_object.rest = snapshot.rest.copy()

    def _find_task(self, index: int) -> Task:
        return load_moving_task(self.spec.suite, index)

    def _drive(self) -> None:
        if self._motion is not None:
            self._goal_object.put(*self._motion.at(self.time))
            self._ticks += 1
