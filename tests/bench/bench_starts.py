"""Whether every task of some suites loads, is reset to recorded states and takes ten steps: a line per task.

``python -m bench.bench_starts`` does it for LIBERO-PRO's sixteen suites, three initial states of each task.
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing

from world_modality.benchmarks.contract import Referenced, open_assets, open_simulator, simulator_spec
from world_modality.facts.benchmarks import SUITES

STEPS = 10


def main() -> None:
    """Open each task once, without pictures; any failure ends the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", default=[suite.name for suite in SUITES if suite.perturbs])
    parser.add_argument("--init-states", type=int, nargs="+", default=[0, 17, 42])
    parser.add_argument("--assets", default="package")
    options = parser.parse_args()
    tasks = faults = solved = 0
    started = time.perf_counter()
    for name in options.suites:
        suite = SUITES[name]
        spec = simulator_spec(suite, options.assets, camera_size=64, render=suite.renders[-1])
        for task in range(suite.tasks):
            told = []
            with closing(open_simulator(spec, task, open_assets(spec))) as simulator:
                for number in options.init_states:
                    simulator.reset(suite.recorded(number), number)
                    step = [simulator.step(suite.action.no_op) for _ in range(STEPS)][-1]
                    solved += step.success
                    told.append(simulator.start_fault() if isinstance(simulator, Referenced) else "")
                print(f"{name} {task:>2}  {simulator.language}", *filter(None, told), sep="; ", flush=True)
            tasks, faults = tasks + 1, faults + any(told)
    seconds = time.perf_counter() - started
    print(f"BENCH starts tasks={tasks} with_faults={faults} already_solved={solved} seconds={seconds:.0f}")


if __name__ == "__main__":
    main()
