"""A rollout cell: what all its records have in common, and the record of a unit that is over."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from world_modality.facts.benchmarks import Suite
from world_modality.rollout.course import Course
from world_modality.rollout.records import Record, Timing
from world_modality.rollout.units import Unit, environment_seed, flow_seed
from world_modality.study.specs import SimSpec


@dataclass(frozen=True, slots=True)
class Cell:
    """What all records of a cell have in common."""

    suite: Suite
    sim: SimSpec
    memory: str
    n_action_steps: int
    horizon: int  # control steps before a unit counts as failed
    checkpoint: str
    trained_memory: str
    device: str
    versions: Mapping[str, str]

    def name(self, unit: Unit) -> str:
        """The unit, for people."""
        return f"{self.suite.name} task {unit.task}, init state {unit.init_state}, repeat {unit.repeat}"

    def record(self, course: Course, crashes: Sequence[str]) -> Record:
        """The record of a course that is over, after ``crashes`` of the simulator."""
        assert course.scene is not None
        suite, unit = self.suite.name, course.unit
        return Record(
            suite=suite,
            assets=self.sim.address()["assets"],
            assets_digest=self.sim.assets_digest,
            task=unit.task,
            language=course.scene.language,
            init_state=unit.init_state,
            init_state_digest=course.scene.init_state_digest,
            repeat=unit.repeat,
            environment_seed=environment_seed(suite, unit),
            flow_seed=flow_seed(suite, unit, 0),
            checkpoint=self.checkpoint,
            trained_memory=self.trained_memory,
            memory=self.memory,
            success=course.success,
            steps=course.step,
            progress=course.progress,
            episode_return=course.episode_return,
            replans=course.replans,
            course_digest=course.digest.hexdigest()[:16],
            note="",
            device=self.device,
            versions=self.versions,
            timing=Timing(len(crashes) + 1, "; ".join(crashes), round(time.monotonic() - course.started, 3)),
        )
