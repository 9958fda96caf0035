"""Whether the suite ``moving`` can be done without knowing a velocity: ``python -m bench.bench_moving``.

Scripted agents that differ only in what they know of the goal. Exit status 1 if one that knows the velocity solves too
little, or the one that does not solves too much.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from bench.bench_expert import parse_range

from world_modality.benchmarks.contract import open_assets, open_simulator, simulator_spec
from world_modality.benchmarks.libero.expert.boxes import Vector
from world_modality.benchmarks.moving.expert import MovingExpert, Sight, Told
from world_modality.benchmarks.moving.motion import Motion
from world_modality.benchmarks.moving.simulator import MovingSimulator
from world_modality.facts.benchmarks import SUITES
from world_modality.rollout.episodes import SIMULATOR_SEEDS
from world_modality.store.keys import keyed_seed

CHUNK = 10  # control steps, which a policy executes without looking
SUITE = SUITES["moving"]


class OncePerChunk:
    """Knows of the goal what could be known when the chunk began, and takes it to have gone on from there somehow."""

    def __init__(self, simulator: MovingSimulator, carried_on: Callable[[int, float], Vector]) -> None:
        """``carried_on(step, seconds)`` is the place [2] (m) so long after the chunk began at a control step."""
        self._simulator, self._carried_on = simulator, carried_on

    def __call__(self, ahead: float) -> Vector:
        step = round(self._simulator.time * SUITE.control_rate)
        begun = step - step % CHUNK
        place = self._carried_on(begun, (step - begun + ahead) / SUITE.control_rate)
        return np.append(place, self._simulator.position(self._simulator.moving.goal)[2])


def known_at(simulator: MovingSimulator, step: int) -> tuple[Vector, Vector]:
    """The goal's place [2] (m) and velocity [2] (m/s) at a control step."""
    return simulator.motion.at(step / SUITE.control_rate)


def still(simulator: MovingSimulator, _: int) -> Sight:
    """One picture per chunk: the goal is where it was seen."""
    return OncePerChunk(simulator, lambda step, _: known_at(simulator, step)[0])


def remembering(simulator: MovingSimulator, _: int) -> Sight:
    """Place and velocity once per chunk, as perfect memory has them: the goal goes on, and is thrown back as ever."""

    def carried_on(step: int, seconds: float) -> Vector:
        (x, y), (to_x, to_y) = known_at(simulator, step)
        return Motion(simulator.moving.field, (x, y), (to_x, to_y)).at(seconds)[0]

    return OncePerChunk(simulator, carried_on)


def straight(simulator: MovingSimulator, _: int) -> Sight:
    """Place and velocity once per chunk: the goal goes straight on, and nothing that throws it back is foreseen."""

    def carried_on(step: int, seconds: float) -> Vector:
        place, velocity = known_at(simulator, step)
        return place + velocity * seconds

    return OncePerChunk(simulator, carried_on)


def guessing(simulator: MovingSimulator, seed: int) -> Sight:
    """One picture per chunk and the speed: the goal goes straight on in any direction."""

    def carried_on(step: int, seconds: float) -> Vector:
        place, velocity = known_at(simulator, step)
        angle = np.random.default_rng(keyed_seed("guess", seed, step)).uniform(0.0, 2.0 * np.pi)
        return place + float(np.linalg.norm(velocity)) * seconds * np.array([np.cos(angle), np.sin(angle)])

    return OncePerChunk(simulator, carried_on)


@dataclass(frozen=True)
class Agent:
    """What an agent knows, and how often it must and may succeed."""

    sight: Callable[[MovingSimulator, int], Sight]
    least: float = 0.0
    most: float = 1.0


AGENTS = {
    "told": Agent(lambda simulator, _: Told(simulator), least=0.8),
    "remembering": Agent(remembering, least=0.8),
    "still": Agent(still, most=0.3),
    "straight": Agent(straight),  # of these two nothing is asked
    "guessing": Agent(guessing),
}


@dataclass(frozen=True)
class Trial:
    """An episode's outcome; ``steps`` to success or the horizon, ``ever`` whether the goal held at any step."""

    success: bool
    ever: bool
    steps: int


def play(simulator: MovingSimulator, agent: Agent, seed: int) -> Trial:
    """The episode to which the simulator was reset."""
    expert = MovingExpert(simulator, np.random.default_rng(seed), sight=agent.sight(simulator, seed))
    ever = False
    for step in range(SUITE.horizon):
        outcome = simulator.step(expert.act())
        ever = ever or simulator.at_goal
        if outcome.success:
            return Trial(True, True, step + 1)
    return Trial(False, ever, SUITE.horizon)


def within(agent: Agent, trials: list[Trial]) -> bool:
    """Whether an agent keeps to what is asked of it."""
    rate = sum(trial.success for trial in trials) / len(trials)
    return agent.least <= rate <= agent.most


def main() -> None:
    """Play every agent from the same initial states and seeds, and compare with what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", help="package, hub, or a folder; the suite's first source by default")
    parser.add_argument("--tasks", type=parse_range, default=tuple(range(SUITE.tasks)))
    parser.add_argument("--agents", type=lambda text: text.split(","), default=list(AGENTS))
    parser.add_argument("--init-states", type=parse_range, default=tuple(range(25, 50)))
    parser.add_argument("--repeats", type=int, default=2, help="seeds per initial state")
    options = parser.parse_args()
    spec = simulator_spec(SUITE, options.assets, camera_size=64, render=SUITE.renders[-1])
    missed = []
    for task in options.tasks:
        with closing(open_simulator(spec, task, open_assets(spec))) as simulator:
            for name in options.agents:
                began, trials = time.perf_counter(), []
                for init_state in options.init_states:
                    for repeat in range(options.repeats):
                        seed = keyed_seed("bench", SUITE.name, task, init_state, repeat) % SIMULATOR_SEEDS
                        simulator.reset(init_state, seed)
                        trials.append(play(simulator, AGENTS[name], seed))
                solved = [trial.steps for trial in trials if trial.success]
                steps = f"{np.mean(solved):.0f}" if solved else "-"
                print(
                    f"BENCH moving agent={name} task={task} success={len(solved)}/{len(trials)} steps={steps} "
                    f"ever={sum(trial.ever for trial in trials)}/{len(trials)} "
                    f"seconds={(time.perf_counter() - began) / len(trials):.2f}",
                    flush=True,
                )
                if not within(AGENTS[name], trials):
                    missed.append(f"{name} on task {task}")
    if missed:
        sys.exit(f"the gap is not there: {', '.join(missed)}")


if __name__ == "__main__":
    main()
