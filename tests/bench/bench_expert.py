"""How often a suite's expert solves each task: ``python -m bench.bench_expert``."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from dataclasses import dataclass

from world_modality.benchmarks.contract import make_expert, open_assets, open_simulator, simulator_spec
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.store.keys import keyed_seed
from world_modality.study.specs import SimSpec


@dataclass(frozen=True)
class Trial:
    """One episode's outcome; ``steps`` to success or to the horizon, ``phase`` where it ended."""

    task: int
    init_state: int
    success: bool
    steps: int
    phase: str
    language: str
    seconds: float
    """Without the simulator's reset."""


@dataclass(frozen=True)
class Job:
    """All episodes of one task."""

    spec: SimSpec
    task: int
    init_states: tuple[int, ...]
    horizon: int
    noise: float


def run_job(job: Job) -> list[Trial]:
    """Run the expert from each init state of a task."""
    import numpy as np

    suite = SUITES[job.spec.suite]
    noise = job.noise or None  # nothing is disturbed and the arm is not displaced
    simulator = open_simulator(job.spec, job.task, open_assets(job.spec))
    trials = []
    for init_state in job.init_states:
        seed = init_state if suite.init_states is None else keyed_seed("bench", job.task, init_state)
        simulator.reset(suite.recorded(init_state), seed)
        started = time.perf_counter()
        try:
            expert = make_expert(suite, simulator, np.random.default_rng(seed), noise)
        except UserError as error:
            trials.append(Trial(job.task, init_state, False, 0, str(error), simulator.language, 0.0))
            break
        steps, success = 0, False
        while not success and steps < job.horizon:
            success = simulator.step(expert.disturb(expert.act())).success
            steps += 1
        seconds = time.perf_counter() - started
        trials.append(Trial(job.task, init_state, success, steps, expert.phase, simulator.language, seconds))
    simulator.close()
    return trials


def parse_range(text: str) -> tuple[int, ...] | None:
    """ "3", "0,2" or "10-14" as a tuple of integers; None for "all"."""
    if text == "all":
        return None
    values: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        values.extend(range(int(first), int(last or first) + 1))
    return tuple(values)


def format_table(trials: list[Trial]) -> str:
    """One row per task and a total: solved, mean steps and seconds of the solved, what it is, and what failed."""
    head = f"{'task':>5}  {'solved':>8}  {'mean steps':>10}  {'mean s':>6}"
    lines = [f"{head}  instruction; failed (init state or seed: phase)"]
    for task in (*sorted({t.task for t in trials}), None):
        rows = [t for t in trials if task is None or t.task == task]
        steps, seconds = [t.steps for t in rows if t.success], [t.seconds for t in rows if t.success]
        failed = ", ".join(f"{t.init_state}: {t.phase}" for t in rows if not t.success and task is not None)
        mean = f"{sum(steps) / len(steps):.0f}" if steps else "-"
        time_taken = f"{sum(seconds) / len(seconds):.1f}" if steps else "-"
        name = "all" if task is None else str(task)
        told = "; ".join(filter(None, (rows[0].language if task is not None else "", failed)))
        lines.append(f"{name:>5}  {f'{len(steps)}/{len(rows)}':>8}  {mean:>10}  {time_taken:>6}  {told}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run one job per task in parallel processes, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", help="package, hub, or a folder; the suite's first source by default")
    parser.add_argument("--suite", default="libero_spatial")
    parser.add_argument("--tasks", type=parse_range, help="numbers such as 0-3,7; all by default")
    parser.add_argument(
        "--init-states", type=parse_range, default=tuple(range(10, 15)), help="seeds, of a suite that records none"
    )
    parser.add_argument("--horizon", type=int, help="control steps; the suite's official number if not given")
    parser.add_argument("--noise", type=float, default=0.0, help="scale of the demonstrations' action noise")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    try:
        suite = SUITES[options.suite]
        spec = simulator_spec(suite, options.assets, camera_size=256, render=suite.renders[-1])
    except UserError as error:
        raise SystemExit(str(error)) from error
    tasks = range(suite.tasks) if options.tasks is None else options.tasks
    jobs = [Job(spec, task, options.init_states, options.horizon or suite.horizon, options.noise) for task in tasks]
    trials: list[Trial] = []
    with multiprocessing.get_context("spawn").Pool(min(options.processes, len(jobs))) as pool:
        for done in pool.imap_unordered(run_job, jobs):
            trials.extend(done)
            print(format_table(done).splitlines()[1], flush=True)
    print(format_table(trials))


if __name__ == "__main__":
    main()
