"""What an evaluation without a study is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.rollout.choice import Choice
from world_modality.rollout.episodes import Episode
from world_modality.rollout.records import Record
from world_modality.study.parts import RemotePolicy

TIMING = "timing.json"  # in a suite's folder: what took how long, of whoever finished last


@dataclass(frozen=True)
class Scenes:
    """What is rolled out: more of it can be asked for later, and nothing is rolled out twice."""

    suites: tuple[str, ...]
    tasks: tuple[int, ...] | None  # of every suite; None for all
    episodes: int  # per task
    init_states: tuple[int, ...]

    def tasks_of(self, suite: str) -> tuple[int, ...]:
        """The tasks of one suite; UserError if one of them does not exist."""
        count = SUITES[suite].tasks
        wrong = [task for task in self.tasks or () if not 0 <= task < count]
        if wrong:
            raise UserError(f"--tasks: {suite} has no task {wrong[0]}; choose from 0 to {count - 1}")
        return tuple(range(count)) if self.tasks is None else self.tasks

    def episodes_of(self, suite: str) -> tuple[Episode, ...]:
        """Episode e of a task starts from initial state ``e`` modulo their number; then states are repeated."""
        states = self.init_states
        return tuple(
            Episode(task, states[episode % len(states)], episode // len(states))
            for task in self.tasks_of(suite)
            for episode in range(self.episodes)
        )


@dataclass(frozen=True)
class How:
    """How episodes are rolled out: an evaluation of other settings is another evaluation."""

    policy: str  # folder, hub id, hub id@revision, or the address of a server
    memory: str | None  # None: what the checkpoint says
    encoder: str | None  # folder or hub id; None: the one that the checkpoint names
    n_action_steps: int | None  # None: the checkpoint's
    num_steps: int | None  # None: the checkpoint's
    horizon: int | None  # control steps; None: the suite's official number
    batch: int
    assets: str | None  # where object models come from; None: the first source that each suite knows
    render: str
    settle_steps: int | None  # None: the suite's official number
    rename: Mapping[str, str] = field(default_factory=dict)  # of the simulator's columns, as in checks/rename.py
    lerobot_seed: int | None = None  # lerobot-eval's --seed, whose scenes are met; None: this project's own scenes
    served: RemotePolicy | None = None  # what is known of the policy at that address


@dataclass(frozen=True)
class VideoChoice:
    """Which episodes are recorded on video, and the records that discordant ones are found by."""

    choice: Choice
    others: tuple[Record, ...]
