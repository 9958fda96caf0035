"""What a control step costs beside MuJoCo's own share of it: ``python -m bench.bench_step``.

Ours, ours ``exact`` and robosuite's own step, each against the bare physics: as many ``mj_step`` from the same state
with the same controls, in turn and in processor time. With ``--episodes`` the scripted expert plays as many episodes of
every task both ways, from one moment each: do they end alike? Lines for programs begin with ``BENCH step``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from world_modality.benchmarks.contract import make_expert, open_assets, open_simulator, simulator_spec
from world_modality.benchmarks.libero.simulator import LiberoSimulator
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.store.keys import keyed_seed
from world_modality.store.machine import machine, versions

OTHERS = ("libero_object", "libero_goal", "libero_10")
PART = 5  # control steps that are timed in one
Controls = list[NDArray[np.float64]]


def opened(suite: str, task: int, source: str) -> LiberoSimulator:
    """A simulator of ours; UserError if ``source`` has no assets of that task."""
    spec = simulator_spec(SUITES[suite], source, camera_size=256, render="fast")
    simulator = open_simulator(spec, task, open_assets(spec))
    assert isinstance(simulator, LiberoSimulator)
    return simulator


def exact(simulator: LiberoSimulator, on: bool) -> None:
    """Let a simulator step as robosuite does to the last bit, or quicker."""
    simulator.spec = simulator.spec.model_copy(update={"exact": on})


def physics(simulator: LiberoSimulator) -> tuple[Any, Any]:
    """The model and the data of the present scene."""
    sim = simulator._sim_env.sim
    return sim.model._model, sim.data._data


def sense(simulator: LiberoSimulator, on: bool) -> None:
    """Compute the scene's sensors, as robosuite lets MuJoCo do, or leave them out."""
    options = physics(simulator)[0].opt
    flag = int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
    options.disableflags = options.disableflags & ~flag if on else options.disableflags | flag


@dataclass
class Kept:
    """The controls of a control step, one row per physics step, as ``mj_step2`` finds them."""

    rows: Controls

    def beside(self, simulator: LiberoSimulator) -> Callable[[], None]:
        """Note them from now on; what ends that."""
        arm, data = simulator._arm, physics(simulator)[1]
        own = arm.act

        def act() -> None:
            own()
            self.rows.append(np.array(data.ctrl))

        arm.act = act  # type: ignore[method-assign]
        return lambda: delattr(arm, "act")


def ours(simulator: LiberoSimulator, actions: NDArray[np.float64], _: Controls) -> None:
    """Control steps of ours."""
    for action in actions:
        simulator.step(action)


def robosuites(simulator: LiberoSimulator, actions: NDArray[np.float64], _: Controls) -> None:
    """robosuite's own."""
    for action in actions:
        simulator._sim_env.step(action)


def seconds(work: Callable[[], object]) -> float:
    """Processor time."""
    started = time.thread_time()
    work()
    return time.thread_time() - started


def bare(simulator: LiberoSimulator, _: NDArray[np.float64], controls: Controls) -> None:
    """The physics alone."""
    model, data = physics(simulator)
    for row in controls:
        data.ctrl[:] = row
        mujoco.mj_step(model, data)


WAYS = {"bare": bare, "ours": ours, "exact": ours, "robosuite": robosuites}


def timed_round(simulator: LiberoSimulator, actions: NDArray[np.float64]) -> dict[str, float]:
    """Seconds of a control step by way, medians over a trajectory's parts; all go on from where a part begins."""
    spent: dict[str, list[float]] = {name: [] for name in WAYS}
    for part in np.split(actions, range(PART, len(actions), PART)):
        moment, kept = simulator.snapshot(), Kept([])
        end = kept.beside(simulator)
        ours(simulator, part, kept.rows)
        end()
        for name, work in WAYS.items():
            simulator.restore(moment)
            exact(simulator, name == "exact")
            sense(simulator, name in ("bare", "robosuite"))
            spent[name].append(seconds(partial(work, simulator, part, kept.rows)) / len(part))
        exact(simulator, False)
        sense(simulator, False)
        simulator.restore(moment)
        ours(simulator, part, kept.rows)
    return {name: statistics.median(each) for name, each in spent.items()}


TARGET = 1.6  # times the bare physics, at most


def measure(suite: str, task: int, source: str, rounds: int, steps: int) -> tuple[str, bool]:
    """The line of one task, and whether it meets the target: medians of rounds, of which each compares the four ways in
    turn."""
    simulator = opened(suite, task, source)
    rng = np.random.default_rng(0)
    found = []
    for number in range(rounds):
        simulator.reset(number % len(simulator.task.init_states), seed=number)
        actions = np.clip(rng.normal(scale=0.5, size=(steps, 7)), -1, 1)
        found.append(timed_round(simulator, actions))
    simulator.close()
    figures = {f"{name}_ms": 1e3 * statistics.median(each[name] for each in found) for name in found[0]}
    ratios = {
        f"{name}_ratio": statistics.median(each[name] / each["bare"] for each in found)
        for name in ("ours", "exact", "robosuite")
    }
    rates = {"steps_per_second": 1e3 / figures["ours_ms"]}
    text = " ".join(f"{name}={value:.2f}" for name, value in (figures | ratios | rates).items())
    return f"BENCH step suite={suite} task={task} {text} target={TARGET}", ratios["ours_ratio"] <= TARGET


@dataclass(frozen=True)
class Pair:
    """An episode played both ways, and how far one control step of ours leads from an exact one."""

    ends: tuple[tuple[bool, int], tuple[bool, int]]  # (success, control steps): quicker, exact
    differences: tuple[float, ...]  # of qpos, after one control step from the same state


def play(simulator: LiberoSimulator, seed: int, horizon: int, compare: bool) -> tuple[bool, int, list[float]]:
    """The expert's episode from the present moment; with ``compare`` each step is also taken the other way first."""
    expert = make_expert(SUITES[simulator.spec.suite], simulator, np.random.default_rng(seed), 1.0)
    success, steps, differences = False, 0, []
    while not success and steps < horizon:
        action = expert.disturb(expert.act())
        other = None
        if compare:
            moment, way = simulator.snapshot(), simulator.spec.exact
            exact(simulator, not way)
            simulator.step(action)
            other = simulator.qpos()
            simulator.restore(moment)
            exact(simulator, way)
        success = simulator.step(action).success
        steps += 1
        if other is not None:
            differences.append(float(np.abs(simulator.qpos() - other).max()))
    return success, steps, differences


def pairs(suite: str, tasks: Sequence[int], source: str, episodes: int) -> Iterator[Pair]:
    """``episodes`` of every task, from initial states in turn."""
    for task in tasks:
        simulator = opened(suite, task, source)
        for number in range(episodes):
            seed = keyed_seed("bench", task, number)
            exact(simulator, True)
            simulator.reset(number % len(simulator.task.init_states), seed)
            moment, ends, differences = simulator.snapshot(), [], []
            for way in (False, True):
                simulator.restore(moment)
                exact(simulator, way)
                success, steps, each = play(simulator, seed, SUITES[suite].horizon, compare=way)
                ends.append((success, steps))
                differences += each
            print(f"task {task} episode {number}: {ends[0]} {ends[1]} {max(differences):.1e}", flush=True)
            yield Pair((ends[0], ends[1]), tuple(differences))
        simulator.close()


def compared(suite: str, tasks: Sequence[int], source: str, episodes: int) -> str:
    """The line of the outcomes."""
    found = list(pairs(suite, tasks, source, episodes))
    differences = np.concatenate([pair.differences for pair in found])
    figures = {
        "episodes": len(found),
        "equal_outcomes": sum(pair.ends[0][0] == pair.ends[1][0] for pair in found),
        "equal_steps": sum(pair.ends[0] == pair.ends[1] for pair in found),
        "successes": sum(pair.ends[1][0] for pair in found),
        "control_steps": len(differences),
        "within_1e-12": int(np.sum(differences <= 1e-12)),
        "median_difference": f"{np.median(differences):.1e}",
        "largest_difference": f"{differences.max():.1e}",
    }
    return f"BENCH step-outcomes suite={suite} " + " ".join(f"{name}={value}" for name, value in figures.items())


def main() -> int:
    """Measure and print; 1 if a step costs more than the target."""
    parser = argparse.ArgumentParser(description="A control step's cost beside the bare physics.")
    parser.add_argument("--assets", default="package", help="as in a study")
    parser.add_argument("--rounds", type=int, default=5, help="0: no times")
    parser.add_argument("--steps", type=int, default=30, help="control steps a round")
    parser.add_argument("--episodes", type=int, default=0, help="of every task of libero_spatial, both ways")
    parser.add_argument("--tasks", type=int, nargs="+", help="of these tasks; of all by default")
    given = parser.parse_args()
    about = machine()
    print(f"{about['processor']}, {about['cpus']} cores, {about['system']}")
    print("  ".join(f"{name} {version}" for name, version in versions(("mujoco", "robosuite", "numpy")).items()))
    suites, met = ("libero_spatial", *OTHERS), True
    try:
        for suite in suites if given.rounds else ():
            line, meets = measure(suite, 0, given.assets, given.rounds, given.steps)
            met = met and meets
            print(line, flush=True)
        if given.episodes:
            tasks = given.tasks or range(SUITES["libero_spatial"].tasks)
            print(compared("libero_spatial", tasks, given.assets, given.episodes))
    except UserError as error:
        raise SystemExit(str(error)) from error
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
