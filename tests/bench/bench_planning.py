"""How long planning and looking take at three sizes of a study: ``make bench-planning``.

Each figure is a whole command, from its start to its end, in a results tree of its own: Snakemake's dry run,
`wm explain`, `wm plan`, and `wm status`, `why` and `gc` on a tree in which half of the study is done. Exit status 1 if
a target is missed: planning in 30 s and a look in 2 s at the largest size, from a command's start to its end, and its
processor time growing no faster than the number of stages. Measure on an idle machine: other programs stretch the time
from start to end, which the processor time beside it shows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from support.large_study import half_done, large_study, rollouts_of

from world_modality.cli.last_plan import remember_plan, remember_study
from world_modality.cli.planning import Planned, link_names, plan_study
from world_modality.store.machine import machine, version_of

REPOSITORY = Path(__file__).parents[2]
STUDY = "study.yaml"
SNAKEMAKE = ("-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", STUDY)
WM = ("-m", "world_modality.cli.main")
EMPTY = {  # name -> command, in a tree where nothing is done
    "dry_run": (*SNAKEMAKE, "-n"),
    "explain": (*WM, "explain", "--study", STUDY),
    "plan": (*WM, "plan", "--study", STUDY),
    "status": (*WM, "status", "--study", STUDY),
}
HALF = {  # in one where half is done
    "half_dry_run": (*SNAKEMAKE, "-n"),
    "half_explain": (*WM, "explain", "--study", STUDY),
    "half_plan": (*WM, "plan", "--study", STUDY),
    "half_status": (*WM, "status"),
    "half_why": (*WM, "why", "report"),
    "half_gc": (*WM, "gc"),
}
LIMITS = {"dry_run": 30.0, "explain": 30.0, "plan": 30.0, "half_dry_run": 30.0, "half_explain": 30.0}
LIMITS |= {"half_plan": 30.0, "status": 2.0, "half_status": 2.0}
GROWTH = 1.05  # exponent of the number of stages that a command may grow with: a little over 1 is noise
QUICK = 3.0  # seconds: what is quicker is measured three times


@dataclass(frozen=True)
class Took:
    """A command's time."""

    wall: float  # seconds from start to end
    cpu: float  # seconds of the processor


def measure(folder: Path, command: tuple[str, ...]) -> Took:
    """The median of three, or of one that is slow."""
    found = [_once(folder, command)]
    while found[0].wall < QUICK and len(found) < 3:
        found.append(_once(folder, command))
    return Took(statistics.median(each.wall for each in found), statistics.median(each.cpu for each in found))


def _once(folder: Path, command: tuple[str, ...]) -> Took:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY / "tests"), str(REPOSITORY)])}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def of_size(folder: Path, seeds: int) -> tuple[int, dict[str, Took]]:
    """Stages of a study of so many seeds, and every command's time."""
    (folder / STUDY).write_text(large_study(seeds))
    took = {name: measure(folder, command) for name, command in EMPTY.items()}
    planned = _planned(folder)
    assert len(list(planned.graph.of("rollout"))) == rollouts_of(seeds)
    os.chdir(folder)
    results = Path("results")
    start = time.perf_counter()
    half_done(results, planned.graph)
    link_names(results, planned.graph)
    remember_study(results, Path(STUDY))
    remember_plan(results, "large", Path(STUDY), planned.snapshot)
    print(f"made half of {len(planned.graph.stages):,} stages in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    took |= {name: measure(folder, command) for name, command in HALF.items()}
    return len(planned.graph.stages), took


def _planned(folder: Path) -> Planned:
    os.chdir(folder)
    return plan_study(Path(STUDY), Path("results"))


def exponents(found: dict[int, dict[str, Took]]) -> dict[str, float]:
    """With which power of the number of stages each command's time of the processor grows between the two largest."""
    _, middle, largest = sorted(found)
    return {
        name: math.log(found[largest][name].cpu / found[middle][name].cpu) / math.log(largest / middle)
        for name in found[largest]
    }


def missed(found: dict[int, dict[str, Took]], growth: dict[str, float]) -> list[str]:
    """The targets that were not met, a sentence each."""
    largest = found[max(found)]
    slow = [
        f"{name} takes {took.wall:.1f} s ({took.cpu:.1f} s of the processor), not less than {limit:g} s"
        for name, limit in LIMITS.items()
        if max((took := largest[name]).wall, took.cpu) >= limit
    ]
    fast = [f"{name} grows with stages^{power:.2f}" for name, power in growth.items() if power > GROWTH]
    return slow + fast


def main() -> int:
    """Parse the command line, measure, print a table and lines for programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=3, default=[2, 4, 8], help="three sizes, smallest first")
    options = parser.parse_args()
    facts = machine()
    print(f"{facts['processor']}, {facts['cpus']} cores, python {version_of('python')}", flush=True)
    found: dict[int, dict[str, Took]] = {}
    for seeds in options.seeds:
        with tempfile.TemporaryDirectory(prefix="bench-planning-") as folder:
            stages, took = of_size(Path(folder), seeds)
            os.chdir(REPOSITORY)
        found[stages] = took
    growth = exponents(found)
    sizes = sorted(found)
    print(f"seconds from start to end (and of the processor; load {os.getloadavg()[0]:.1f} in the end)")
    print("command       " + "".join(f"{size:>9,} stages" for size in sizes) + "   grows with stages^")
    for name in (*EMPTY, *HALF):
        times = "".join(f"{found[size][name].wall:>8.2f} ({found[size][name].cpu:5.1f})" for size in sizes)
        print(f"{name:<14}{times}   {growth[name]:>8.2f}")
    for name, took in found[sizes[-1]].items():
        print(f"BENCH planning {name}_s={took.wall:.3f}")
        print(f"BENCH planning {name}_cpu_s={took.cpu:.3f}")
        print(f"BENCH planning {name}_exponent={growth[name]:.3f}")
    told = missed(found, growth)
    print("targets      " + ("; ".join(told) if told else "all met"))
    print(json.dumps({"stages": sizes, "met": not told}))
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main())
