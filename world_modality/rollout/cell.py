"""A rollout cell: what all its records have in common, and the record of an episode that is over."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from world_modality.facts.benchmarks import Suite
from world_modality.rollout.episodes import Episode, counted_seed, environment_seed, flow_seed
from world_modality.rollout.records import OWN_NOISE, Record, Timing
from world_modality.rollout.trajectory import Trajectory
from world_modality.study.specs import SimSpec

DECIMALS = 5  # of the poses and distances in records


@dataclass(frozen=True, slots=True)
class Cell:
    """What all records of a cell have in common."""

    suite: Suite
    sim: SimSpec
    memory: str
    n_action_steps: int
    horizon: int  # control steps before an episode counts as failed
    checkpoint: str
    trained_memory: str
    device: str
    versions: Mapping[str, str]
    seeded: bool = True  # whether the episode's seed decides the policy's noise
    note: str = ""  # what a reader of the records must know of the memory
    lerobot_seed: int | None = None  # ``lerobot-eval``'s, for its scenes; None: seeds of this project's own

    def environment_seed(self, episode: Episode) -> int:
        """The simulator's seed at reset, 32 bits; UserError if the suite has none in ``lerobot-eval``'s order."""
        if self.lerobot_seed is None:
            return environment_seed(self.suite.name, episode)
        return counted_seed(self.lerobot_seed, self.suite, episode)

    def name(self, episode: Episode) -> str:
        """The episode, for people."""
        return f"{self.suite.name} task {episode.task}, init state {episode.init_state}, repeat {episode.repeat}"

    def record(self, trajectory: Trajectory, crashes: Sequence[str]) -> Record:
        """The record of a trajectory that is over, after ``crashes`` of the simulator or the policy's server."""
        assert trajectory.scene is not None
        suite, episode = self.suite.name, trajectory.episode
        return Record(
            suite=suite,
            assets=self.sim.assets_origin,
            assets_digest=self.sim.assets_digest,
            render=self.sim.render,
            task=episode.task,
            language=trajectory.scene.language,
            init_state=episode.init_state,
            init_state_digest=trajectory.scene.init_state_digest,
            settled={
                name: [round(float(number), DECIMALS) for number in pose]
                for name, pose in trajectory.scene.settled.items()
            },
            start_fault=trajectory.scene.start_fault,
            repeat=episode.repeat,
            environment_seed=trajectory.environment_seed,
            flow_seed=flow_seed(suite, episode, 0) if self.seeded else None,
            checkpoint=self.checkpoint,
            trained_memory=self.trained_memory,
            memory=self.memory,
            success=trajectory.success,
            steps=trajectory.step,
            progress=trajectory.progress,
            distances={name: [round(value, DECIMALS) for value in way] for name, way in trajectory.distances.items()},
            episode_return=trajectory.episode_return,
            replans=trajectory.replans,
            trajectory_digest=trajectory.digest.hexdigest()[:16],
            note=self.note if self.seeded else OWN_NOISE,
            device=self.device,
            versions=self.versions,
            timing=Timing(len(crashes) + 1, "; ".join(crashes), round(time.monotonic() - trajectory.started, 3)),
        )
