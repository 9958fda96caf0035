"""Whether every task of some suites loads, is reset to recorded states and takes ten steps: a line per task.

``make bench-starts`` does it for LIBERO-PRO's sixteen suites, three initial states of each task, and tells each suite's
numbers in a line that begins with ``BENCH starts``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import closing

from world_modality.benchmarks.contract import Referenced, open_assets, open_simulator, simulator_spec
from world_modality.facts.benchmarks import SUITES, Suite

STEPS = 10


def main() -> None:
    """Open each task once, without pictures; any failure ends the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", default=[suite.name for suite in SUITES if suite.perturbs])
    parser.add_argument("--init-states", type=int, nargs="+", default=[0, 17, 42])
    parser.add_argument("--assets", help="the suite's first source by default")
    options = parser.parse_args()
    for name in options.suites:
        started = time.perf_counter()
        found = [start(SUITES[name], task, options.init_states, options.assets) for task in range(SUITES[name].tasks)]
        faults, solved = sum(any(faults) for faults, _ in found), sum(solved for _, solved in found)
        seconds = time.perf_counter() - started
        print(
            f"BENCH starts suite={name} tasks={len(found)} with_faults={faults} already_solved={solved} "
            f"seconds={seconds:.0f}",
            flush=True,
        )


def start(suite: Suite, task: int, init_states: Sequence[int], assets: str | None) -> tuple[list[str], int]:
    """The fault of each start, and how many starts were solved after ``STEPS`` no-ops."""
    spec = simulator_spec(suite, assets, camera_size=64, render=suite.renders[-1])
    faults, solved = [], 0
    with closing(open_simulator(spec, task, open_assets(spec))) as simulator:
        for number in init_states:
            simulator.reset(suite.recorded(number), number)
            step = [simulator.step(suite.action.no_op) for _ in range(STEPS)][-1]
            solved += step.success
            faults.append(simulator.start_fault() if isinstance(simulator, Referenced) else "")
        print(f"{suite.name} {task:>2}  {simulator.language}", *filter(None, faults), sep="; ", flush=True)
    return faults, solved


if __name__ == "__main__":
    main()
