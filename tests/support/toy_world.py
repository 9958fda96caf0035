"""A simulator and a policy of a few lines: a point must be steered to a goal it sees only at replans.

Run as a program it rolls a cell out, slowly enough to be killed in the middle.
"""

import io
import json
import sys
import time
from collections import deque
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from stand_ins import STAND_INS

from world_modality.benchmarks.contract import Observation, Step, open_simulator
from world_modality.facts.benchmarks import ActionLayout, Suite
from world_modality.facts.table import Reference
from world_modality.rollout.cell import Cell
from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.pool import Heard, Pool
from world_modality.rollout.records import Ledger
from world_modality.rollout.scheduler import Scheduler
from world_modality.rollout.worker import Simulators, carry_out
from world_modality.store.leases import Leases
from world_modality.store.progress import Progress
from world_modality.study.specs import RolloutSpec, SimSpec

SIZE = 7  # numbers of an action, and coordinates of the point
SUITE = Suite(
    name="toy_suite",
    benchmark="toy",
    tasks=2,
    init_states=50,
    horizon=20,
    fps=10,
    control_rate=10,
    cameras={"image": "nothing", "image2": "nothing"},
    state=(*(f"to_goal_{axis}" for axis in range(SIZE)), "zero"),
    action=ActionLayout(tuple(f"move_{axis}" for axis in range(SIZE)), -1.0, 1.0, clip=True, no_op=(0.0,) * SIZE),
    packages=("toy",),
    simulator=Reference("support.toy_world:ToyWorld"),
)
SIM = SimSpec(
    suite="libero_object",
    assets=str(STAND_INS),
    assets_digest="0" * 16,
    camera_size=8,
    render="stock",
    settle_steps=0,
)


def toy_spec(**changes) -> RolloutSpec:
    spec = RolloutSpec(
        family="smolvla",
        sim=SIM,
        task=1,
        memory="disabled",
        init_states=(7, 3, 5),
        repeats=2,
        n_action_steps=3,
        num_steps=2,
        horizon=20,
        batch=1,
    )
    return spec.model_copy(update=changes)


def toy_cell(spec: RolloutSpec, **changes) -> Cell:
    facts = {"checkpoint": "c" * 16, "trained_memory": "disabled", "device": "cpu", "versions": {"toy": "1"}}
    return Cell(SUITE, spec.sim, spec.memory, spec.n_action_steps, spec.horizon, **{**facts, **changes})


class ToyWorld:
    """Deterministic in (init_state, seed, actions). ``log`` tells what was asked of it, ``crashes`` when to raise."""

    language = "move the point to the goal"

    def __init__(self, pause: float = 0.0, crashes: list[int] | None = None) -> None:
        self.pause, self.log = pause, []
        self.crashes = crashes if crashes is not None else []  # counts of control steps, one per reset

    @classmethod
    def opened(cls, task):
        """As a rollout opens simulators."""
        return cls()

    @property
    def init_state_digest(self) -> str:
        return f"{self.init_state:016x}"

    def poses(self):
        return {"point": np.array([*self.point[:3], 1.0, 0.0, 0.0, 0.0])}

    def goal_distances(self):
        return {"point at goal": float(np.abs(self.point - self.goal).max())}

    def reset(self, init_state: int, seed: int) -> None:
        self.init_state = init_state
        rng = np.random.default_rng([init_state, seed])
        self.point, self.goal, self.steps = rng.uniform(-1, 1, SIZE), rng.uniform(-1, 1, SIZE), 0
        self.crash_at = self.crashes.pop(0) if self.crashes else -1
        self.log.append(("reset", init_state, seed))

    def step(self, action) -> Step:
        if self.steps == self.crash_at:
            raise RuntimeError("contact solver diverged")
        time.sleep(self.pause)
        self.steps += 1
        self.point = self.point + 0.15 * np.asarray(action, dtype=np.float64)
        self.log.append(("step", self.steps, tuple(np.asarray(action).tolist())))
        near = np.abs(self.point - self.goal) < 0.25
        reached = bool(near.all())
        return Step(reached, False, float(reached), float(near.mean()))

    def render(self, camera: str):
        self.log.append(("render", self.steps, camera))
        return np.full((8, 8, 3), self.steps, np.uint8)

    def observe(self, cameras=None):
        state = np.concatenate([self.goal - self.point, [0]]).astype(np.float32)
        seen = SUITE.cameras if cameras is None else cameras
        return Observation({camera: self.render(camera) for camera in seen}, state)

    def close(self) -> None:
        self.log.append(("close",))


class ToyPolicy:
    """Steers towards the goal with noise from the seed; keeps the requests it was asked, batch by batch."""

    def __init__(self, chunk_size: int = 5, batch: int = 1) -> None:
        self.chunk_size, self.batch, self.past_steps, self.asked = chunk_size, batch, 0, []

    @property
    def requests(self):
        return [request for batch in self.asked for request in batch]

    def infer(self, requests):
        assert 1 <= len(requests) <= self.batch
        self.asked.append(list(requests))
        return [self.chunk(request) for request in requests]

    clock = staticmethod(time.thread_time)

    def trial(self, request, rows):
        return 0.01

    def chunk(self, request):
        noise = np.random.default_rng(request.noise_seed).normal(0, 2.0, (self.chunk_size, SIZE))
        return (4 * request.observation.state[:SIZE] + noise).astype(np.float32)


class InlinePool:
    """A pool of one process that is this one: carries out a command when it is listened to."""

    def __init__(self, open_simulator) -> None:
        self.simulators, self.commands = Simulators(open_simulator, spare=2), deque()

    def send(self, command) -> None:
        self.commands.append(command)

    def memory(self) -> int:
        return 0

    def receive(self, seconds):
        return [Heard(0, carry_out(self.simulators, self.commands.popleft()))] if self.commands else []

    workers = 1

    def idle(self):
        return not self.commands

    def finished(self, slot) -> None:
        self.over = slot

    def close(self) -> None:
        for slot in list(self.simulators._used):
            self.simulators.discard(slot)


def in_this_process(sim, assets, _workers):
    """In place of a rollout's pool: its simulators in this process, where they can be watched."""
    return closing(InlinePool(partial(open_simulator, sim, assets=assets)))


def open_slow(task):
    """A simulator that takes its time."""
    return ToyWorld(0.01)


def roll(folder, spec, pool=None, planner=None, new_history=None, slots=1, progress=None, leases=None, **facts):
    """The records of a cell, in order; the ledger lies in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "ledger", episodes_of(spec), leases)
    progress = progress or Progress("toy", stream=io.StringIO())
    scheduler = Scheduler(toy_cell(spec, **facts), ledger, planner or ToyPolicy(), new_history, progress, slots)
    with closing(ledger), closing(pool or InlinePool(lambda _task: ToyWorld())) as simulators:
        scheduler.run(simulators)
    ledger.publish(folder / "artifact" / "records.jsonl", folder / "timing.jsonl")
    ledger.tidy()
    return [ledger.done[episode] for episode in episodes_of(spec)]


def spec_from(text) -> RolloutSpec:
    """The toy's spec with changes given as JSON."""
    changes = json.loads(text)
    return toy_spec(**{name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()})


if __name__ == "__main__":
    folder, silence = Path(sys.argv[1]), float(sys.argv[3])
    (folder / "ledger").mkdir(parents=True, exist_ok=True)
    roll(
        folder,
        spec_from(sys.argv[2]),
        Pool(open_slow, 2, 60.0, ["support.toy_world"]),
        ToyPolicy(batch=3),
        slots=4,
        leases=Leases(folder / "ledger" / "leases", beat_s=silence / 10, silence_s=silence),
    )
