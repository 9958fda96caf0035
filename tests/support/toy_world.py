"""A simulator and a policy of a few lines: a point must be steered to a goal it sees only at replans.

Run as a program it rolls a cell out, slowly enough to be killed in the middle.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from world_modality.rollout.cell import Cell, run_cell
from world_modality.rollout.records import Journal
from world_modality.store.progress import Progress
from world_modality.study.specs import RolloutSpec, SimSpec

SIM = SimSpec(
    suite="toy_suite",
    assets="embedded",
    assets_digest="0" * 16,
    camera_size=8,
    render="stock",
    settle_steps=0,
)


def toy_spec(**changes) -> RolloutSpec:
    spec = RolloutSpec(
        sim=SIM, task=1, memory="disabled", init_states=(7, 3, 5), repeats=2, n_action_steps=3, num_steps=2, horizon=20
    )
    return spec.model_copy(update=changes)


def toy_cell(spec: RolloutSpec, **changes) -> Cell:
    facts = {"checkpoint": "c" * 16, "trained_memory": "disabled", "device": "cpu", "versions": {"toy": "1"}}
    return Cell(spec, **{**facts, **changes})


class ToyWorld:
    """Deterministic in (init_state, seed, actions). ``log`` tells what was asked of it, ``crashes`` when to raise."""

    language = "move the point to the goal"

    def __init__(self, pause: float = 0.0, crashes: list[int] | None = None) -> None:
        self.pause, self.log = pause, []
        self.crashes = crashes if crashes is not None else []  # counts of control steps, one per reset

    def init_state_digest(self, init_state: int) -> str:
        return f"{init_state:016x}"

    def reset(self, init_state: int, seed: int) -> None:
        rng = np.random.default_rng([init_state, seed])
        self.point, self.goal, self.steps = rng.uniform(-1, 1, 7), rng.uniform(-1, 1, 7), 0
        self.crash_at = self.crashes.pop(0) if self.crashes else -1
        self.log.append(("reset", init_state, seed))

    def step(self, action) -> bool:
        if self.steps == self.crash_at:
            raise RuntimeError("contact solver diverged")
        time.sleep(self.pause)
        self.steps += 1
        self.point = self.point + 0.15 * np.asarray(action, dtype=np.float64)
        self.log.append(("step", self.steps, tuple(np.asarray(action).tolist())))
        return bool(np.abs(self.point - self.goal).max() < 0.25)

    def render(self, camera: str):
        self.log.append(("render", self.steps, camera))
        return np.full((8, 8, 3), self.steps, np.uint8)

    def observe(self):
        state = np.concatenate([self.goal - self.point, [0]]).astype(np.float32)
        return SimpleNamespace(images={camera: self.render(camera) for camera in ("image", "image2")}, state=state)

    def close(self) -> None:
        self.log.append(("close",))


class ToyPlanner:
    """Steers towards the goal with noise from the seed; keeps the seeds and histories it was given."""

    def __init__(self, chunk_size: int = 5) -> None:
        self.chunk_size, self.seeds, self.histories = chunk_size, [], []

    def predict(self, observation, task, seed, world_history=None):
        self.seeds.append(seed)
        self.histories.append(world_history)
        noise = np.random.default_rng(seed).normal(0, 2.0, (self.chunk_size, 7))
        return (4 * observation.state[:7] + noise).astype(np.float32)


if __name__ == "__main__":
    folder, pause = Path(sys.argv[1]), float(sys.argv[2])
    journal = Journal(folder / "work" / "records.jsonl")
    run_cell(toy_cell(toy_spec()), journal, lambda: ToyWorld(pause), ToyPlanner(), None, Progress("toy"))
    journal.publish(folder / "artifact" / "records.jsonl")
