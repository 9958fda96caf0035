"""LeRobot's evaluator against ours: ``python -m bench.bench_rollouts``.

LeRobot's is started as ``lerobot-wm-eval``, which configures LIBERO and calls ``lerobot-eval``. Both play the
same checkpoint on the same tasks and initial states, as whole commands in processes of their own, one after the
other in every round. Lines for programs begin with ``BENCH rollouts``. It ends with status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.benchmarks.libero.libero_config import ASSETS_VARIABLE
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.rollout.evaluation import TIMING
from world_modality.store.layout import RESULTS, names_folder
from world_modality.store.machine import machine, versions
from world_modality.study.load import load_study
from world_modality.study.study import Study

STOCK = "lerobot-eval"
OURS = {"ours, same pixels": "stock", "ours, fast render": "fast"}
TARGETS = {"ours, same pixels": 10.0, "ours, fast render": 15.0}


@dataclass(frozen=True)
class Work:
    """What every evaluator does in a round."""

    checkpoint: Path
    study: Study
    suite: str
    tasks: tuple[int, ...]
    episodes: int  # per task
    assets: str
    stock_batch: int
    cores: int

    @property
    def count(self) -> int:
        """Episodes of a round."""
        return len(self.tasks) * self.episodes


@dataclass(frozen=True)
class Timed:
    """One command."""

    seconds: float  # from its start to its end
    working: float  # without starting up: what it says itself
    successes: int
    spent: str  # where the processor's time went, if it says so


def stock_command(work: Work, output: Path) -> list[str]:
    """LeRobot's, with its asynchronous environments; it films the first ten episodes of every task."""
    size = work.study.simulator.camera_size
    flags = {
        "policy.path": work.checkpoint,
        "policy.n_action_steps": work.study.rollouts.n_action_steps,
        "policy.num_steps": work.study.rollouts.num_steps,
        "env.type": "libero",
        "env.task": work.suite,
        "env.task_ids": list(work.tasks),
        "env.episode_length": SUITES[work.suite].horizon,
        "env.observation_height": size,
        "env.observation_width": size,
        "eval.batch_size": work.stock_batch,
        "eval.n_episodes": work.episodes,
        "output_dir": output,
    }
    main = "from world_modality.cli.lerobot_scripts import eval_main; eval_main()"
    return [sys.executable, "-c", main, *(f"--{name}={value}" for name, value in flags.items())]


def our_command(work: Work, output: Path, render: str) -> list[str]:
    """``wm rollout``."""
    flags = {
        "policy.path": work.checkpoint,
        "suite": work.suite,
        "tasks": ",".join(map(str, work.tasks)),
        "episodes": work.episodes,
        "output": output,
        "n-action-steps": work.study.rollouts.n_action_steps,
        "num-steps": work.study.rollouts.num_steps,
        "batch": work.study.rollouts.batch,
        "horizon": SUITES[work.suite].horizon,
        "assets": work.assets,
        "render": render,
        "settle-steps": 10,
        "cores": work.cores,
    }
    return [sys.executable, "-m", "world_modality.cli.main", "rollout", *(f"--{n}={v}" for n, v in flags.items())]


def timed(command: Sequence[str], work: Work, log: Path) -> float:
    """Seconds that a command took; UserError with its last line if it failed."""
    started = time.monotonic()
    environment = {**os.environ, ASSETS_VARIABLE: work.assets}
    with log.open("w") as file:
        status = subprocess.run(command, stdout=file, stderr=file, env=environment, check=False).returncode
    if status:
        said = log.read_text().strip().splitlines() or ["nothing"]
        raise UserError(f"{command[0]} {' '.join(command[1:4])} ... ended with status {status}, it said: {said[-1]}")
    return time.monotonic() - started


def run_stock(work: Work, folder: Path) -> Timed:
    """One evaluation by LeRobot."""
    seconds = timed(stock_command(work, folder / "stock"), work, folder / "stock.log")
    info = json.loads((folder / "stock" / "eval_info.json").read_text())
    successes = sum(sum(task["metrics"]["successes"]) for task in info["per_task"])
    return Timed(seconds, info["overall"]["eval_s"], successes, "")


def run_ours(work: Work, folder: Path, render: str) -> Timed:
    """One evaluation by ``wm rollout``."""
    output = folder / render
    seconds = timed(our_command(work, output, render), work, folder / f"{render}.log")
    lines = (output / f"{work.suite}.jsonl").read_text().splitlines()
    spent = json.loads((output / work.suite / TIMING).read_text())
    shares = ", ".join(f"{part} {share:.0%}" for part, share in spent["shares"].items() if share >= 0.005)
    return Timed(seconds, spent["seconds"], sum(json.loads(line)["success"] for line in lines), shares)


def rounds(work: Work, count: int, folder: Path) -> Iterator[dict[str, Timed]]:
    """Every evaluator once per round, each round beginning with another one."""
    names = [STOCK, *OURS]
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        order = names[number % len(names) :] + names[: number % len(names)]
        yield {name: run_stock(work, place) if name == STOCK else run_ours(work, place, OURS[name]) for name in order}


def ratio(found: Sequence[dict[str, Timed]], name: str, part: str) -> float:
    """How many times as fast as LeRobot's: the median over rounds of ratios taken within a round."""
    return statistics.median(getattr(each[STOCK], part) / getattr(each[name], part) for each in found)


def report(work: Work, found: Sequence[dict[str, Timed]]) -> str:
    """The table of a suite and its line for programs."""
    lines = [f"{work.suite:20}  episodes/h  without start-up  ratio  (without start-up)"]
    for name in (STOCK, *OURS):
        rate = statistics.median(3600 * work.count / each[name].seconds for each in found)
        working = statistics.median(3600 * work.count / each[name].working for each in found)
        won = "/".join(str(each[name].successes) for each in found)
        target = f"target {TARGETS[name]:.0f}" if name in TARGETS else ""
        lines.append(
            f"{name:20}  {rate:>10.0f}  {working:>16.0f}  {ratio(found, name, 'seconds'):>5.2f}  "
            f"({ratio(found, name, 'working'):.2f})  {target}  {won} of {work.count} succeed"
        )
        lines += [f"{'':20}  {each[name].spent}" for each in found if each[name].spent]
    figures = " ".join(f"{way}={ratio(found, name, 'seconds'):.2f}" for name, way in OURS.items())
    return "\n".join([*lines, f"BENCH rollouts suite={work.suite} rounds={len(found)} {figures}"])


def measure(work: Work, count: int) -> bool:
    """All rounds of a suite, then its table; whether all targets are met."""
    print(f"{work.suite}: {work.count} episodes a round, {STOCK} with {work.stock_batch} environments", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for each in rounds(work, count, Path(folder)):
            found.append(each)
            print(", ".join(f"{name} {timing.seconds:.0f} s" for name, timing in each.items()), flush=True)
    print(report(work, found), flush=True)
    return all(ratio(found, name, "seconds") >= target for name, target in TARGETS.items())


def main() -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description="LeRobot's evaluator against ours.")
    parser.add_argument("--study", type=Path, default=Path("config.yaml"))
    parser.add_argument("--arm", help="whose checkpoint; the first by default")
    parser.add_argument("--suites", nargs="+", help="the study's and libero_goal by default")
    parser.add_argument("--tasks", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--episodes", type=int, default=20, help="per task and round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--assets", help="as in a study; the study's by default")
    parser.add_argument("--stock-batch", type=int, default=0, help="LeRobot's environments; one per core by default")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    study = load_study(given.study).study
    arm, seed = given.arm or next(iter(study.arms)), study.training.seeds[0]
    checkpoint = names_folder(RESULTS, study.study) / "train" / f"{arm}-seed{seed}" / "pretrained_model"
    if not checkpoint.is_dir():
        raise UserError(f"{checkpoint} is missing: make it first, with `snakemake --cores N train`")
    suites = given.suites or dict.fromkeys((*study.rollout_suites, "libero_goal"))
    batch = given.stock_batch or min(given.cores, given.episodes)
    about = machine()
    print(f"{about['processor']}, {about['cpus']} cores, load {os.getloadavg()[0]:.1f}, {about['system']}")
    print("  ".join(f"{name} {version}" for name, version in versions(("lerobot", "torch", "mujoco")).items()))
    print(f"{arm} of {study.study} on tasks {' '.join(map(str, given.tasks))}, {given.rounds} rounds", flush=True)
    met = True
    for suite in suites:
        assets = given.assets or study.simulator.assets or SUITES[suite].assets[0]
        work = Work(checkpoint.resolve(), study, suite, tuple(given.tasks), given.episodes, assets, batch, given.cores)
        met = measure(work, given.rounds) and met
    return int(not met)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
