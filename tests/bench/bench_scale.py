"""How many helpers one results folder bears: ``make bench-scale``.

A study's rollouts by 16, 128 and 1,000 workers, on a virtual clock and a simulated file server, with the library's own
code but for policy and simulators (``tests/support/many_workers.py``); a program per size, two at once. The lines to
read begin with ``BENCH scale``. It ends with status 1 if a record is lost, over 1% of the episodes are played twice, or
a worker is idle for longer than ``IDLE_S`` while there are episodes to begin.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from support.many_workers import World
from support.many_workers_figures import Plan

IDLE_S = 600.0
MOST_DUPLICATES = 0.01


def measured(plan: Plan) -> tuple[str, bool]:
    """The line of one plan, and whether all is as it should be."""
    gc.set_threshold(500_000)  # thousands of tasks are alive at once, and hardly anything goes in circles
    start, told = time.process_time(), 0.0

    def tell(done: float, hours: float) -> None:
        nonlocal told
        if done >= told + 0.1:
            told = done
            print(f"{plan.workers} workers: {done:.0%} after {hours:.2f} h", file=sys.stderr, flush=True)

    found = World(plan, tell).run()
    figures = found.figures()
    kinds = ",".join(f"{kind}:{count / plan.episodes:.2f}" for kind, count in found.operations.most_common())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    line = (
        f"BENCH scale workers={plan.workers} episodes={plan.episodes} server_per_s={plan.most_per_s:g} "
        f"stale_s={plan.stale_s:g} seed={plan.seed} "
        + " ".join(f"{name}={value}" for name, value in figures.items())
        + f" kinds={kinds} cpu_s={time.process_time() - start:.0f} memory_gb={peak:.1f}"
    )
    fine = not found.lost and figures["duplicate_share"] < MOST_DUPLICATES and figures["longest_idle_s"] < IDLE_S
    return line, fine


def main() -> int:
    """Every size asked for, as each is ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[16, 128, 1000])
    parser.add_argument("--episodes", type=int, default=400_000)
    parser.add_argument(
        "--server", type=float, nargs="+", default=[float("inf")], help="operations that it can do a second"
    )
    parser.add_argument("--stale", type=float, default=30.0, help="seconds that a machine believes what it saw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="sizes at once")
    options = parser.parse_args()
    plans = [
        Plan(workers, options.episodes, most_per_s=server, stale_s=options.stale, seed=options.seed)
        for workers in options.workers
        for server in options.server
    ]
    good = True
    with ProcessPoolExecutor(options.jobs, max_tasks_per_child=1) as programs:
        for future in as_completed([programs.submit(measured, plan) for plan in plans]):
            line, fine = future.result()
            good &= fine
            print(line, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
