"""What the world memory costs a training step: ``python -m bench.bench_overhead``.

Plain ``lerobot-train`` and our arms train the study's policy on its data, each in a process of its own, in turns of a
few steps, so that whatever else the machine does hits all of them alike; while one has its turn, the others and their
data loaders stand still. Ratios are taken within a round of turns. Figures, not a test: it always ends with status 0.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import psutil
from bench.bench_conditions import (
    CONDITIONS,
    E0,
    E1,
    E2,
    STOCK,
    STOCK_FRAMES,
    Block,
    Task,
    needed_arms,
    run_condition,
)

from world_modality.errors import UserError
from world_modality.store.layout import RESULTS, names_folder
from world_modality.store.machine import machine, versions
from world_modality.study.load import load_study
from world_modality.study.slices import optim_spec, world_spec
from world_modality.study.specs import TrainSpec, latents_role
from world_modality.study.study import Study
from world_modality.training.arguments import device_name

WARM_UP = 2  # rounds that are not counted
RATIOS = ((E2, E0, "target <= 1.10"), (E1, E0, ""), (E0, STOCK, "target <= 1.02"), (E0, STOCK_FRAMES, ""))
MEBIBYTE = 2**20


def study_task(study: Study, root: Path, steps: int, cores: int) -> Task:
    """The study's policy, data and settings, for trainings of at least ``steps`` steps.

    UserError if the study's data and latents have not been made yet.
    """
    training = study.training
    specs = {
        memory: TrainSpec(
            family="smolvla",
            memory=memory,
            world=world_spec(study, arm),
            optim=optim_spec(study, memory).model_copy(update={"steps": max(steps, training.steps)}),
            seed=training.seeds[0],
            threads=training.threads,
            n_action_steps=training.n_action_steps,
        )
        for memory, arm in needed_arms().items()
    }
    names = names_folder(root, study.study)
    inputs = {role: names / role for role in ("policy", "dataset", "encoder")}
    for arm in needed_arms().values():  # a camera's latents lie in a folder of its name
        world = world_spec(study, arm)
        inputs |= {latents_role(each): names / "latents" / each for each in (world.cameras if world else ())}
    for role, folder in inputs.items():
        if not folder.is_dir():
            raise UserError(f"{folder} is missing: make the study's {role} first, with `snakemake --cores N latents`")
    return Task(specs, {role: folder.resolve() for role, folder in inputs.items()}, cores)


class Turns:
    """One process per condition; :meth:`take` lets one of them go on for a few steps."""

    def __init__(self, names: Sequence[str], task: Task, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes: dict[str, SpawnProcess] = {}
        self._connections: dict[str, Connection] = {}
        for number, name in enumerate(names):
            self._connections[name], theirs = context.Pipe()
            arguments = (name, task, folder / str(number), os.getpid(), theirs)
            self._processes[name] = context.Process(target=run_condition, args=arguments)
            self._processes[name].start()
            theirs.close()
        for name in names:
            self._answer(name)
            self._loaders_stand(name, still=True)

    def take(self, name: str, steps: int) -> Block:
        """Let the training ``name`` do so many steps; what they took."""
        self._loaders_stand(name, still=False)
        self._connections[name].send(steps)
        block = self._answer(name)
        self._loaders_stand(name, still=True)
        return block

    def loaders_memory(self, name: str) -> int:
        """Bytes that the data loaders of a training have for themselves."""
        return sum(loader.memory_full_info().uss for loader in self._loaders(name))

    def end(self) -> None:
        """Kill all processes."""
        for name, process in self._processes.items():
            loaders = self._loaders(name)
            process.kill()
            for loader in loaders:
                loader.kill()
            process.join()

    def _answer(self, name: str) -> Block:
        try:
            block: Block = self._connections[name].recv()
        except EOFError:
            raise UserError(f"the training '{name}' ended before its time, see its log") from None
        return block

    def _loaders(self, name: str) -> list[psutil.Process]:
        try:
            return psutil.Process(self._processes[name].pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _loaders_stand(self, name: str, *, still: bool) -> None:
        for loader in self._loaders(name):
            (loader.suspend if still else loader.resume)()


Rounds = Sequence[Mapping[str, Block]]


def measure(
    turns: Turns, names: Sequence[str], rounds: int, steps: int
) -> tuple[list[dict[str, Block]], dict[str, int]]:
    """The blocks of each counted round, by condition, each round in another order; and the peak memory in bytes."""
    order, found, memory = list(names), [], dict.fromkeys(names, 0)
    shuffle = random.Random(0).shuffle
    for _ in range(WARM_UP + rounds):
        shuffle(order)
        found.append({name: turns.take(name, steps) for name in order})
        for name in names:
            memory[name] = max(memory[name], found[-1][name].memory + turns.loaders_memory(name))
    return found[WARM_UP:], memory


def median_step(block: Block) -> float:
    """Seconds; the first step of a turn, which begins with cold caches, does not count."""
    return statistics.median(block.steps[1:])


def ratios(rounds: Rounds, one: str, other: str) -> list[float]:
    """Of two conditions' median steps, round by round, ascending."""
    return sorted(median_step(each[one]) / median_step(each[other]) for each in rounds)


def format_table(rounds: Rounds, memory: Mapping[str, int]) -> str:
    """Step times and peak memory per condition, and the ratios with their quartiles."""
    gpu = any(block.gpu_memory for each in rounds for block in each.values())
    lines = [
        f"{'condition':<26}  {'step':>9}  {'update':>9}  {'peak memory':>11}" + ("  peak of the GPU" if gpu else "")
    ]
    for name in memory:
        blocks = [each[name] for each in rounds]
        step = statistics.median(map(median_step, blocks))
        update = statistics.median(statistics.median(block.updates[1:]) for block in blocks)
        line = f"{name:<26}  {1000 * step:6.1f} ms  {1000 * update:6.1f} ms  {memory[name] / MEBIBYTE:7.0f} MiB"
        own = max(block.gpu_memory for block in blocks) / MEBIBYTE
        lines.append(line + (f"  {own:11.0f} MiB" if gpu else ""))
    for one, other, note in RATIOS:
        if one in memory and other in memory:
            found = ratios(rounds, one, other)
            low, high = found[len(found) // 4], found[-1 - len(found) // 4]
            name = f"{one} / {other}"
            lines.append(f"{name:<44}  {statistics.median(found):.3f}  [{low:.3f}, {high:.3f}]  {note}".rstrip())
    return "\n".join(lines)


def describe(study: Study, task: Task, rounds: int, steps: int) -> str:
    """What was measured on what."""
    facts, spec = machine(), task.specs["disabled"]
    software = "  ".join(
        f"{name} {version}" for name, version in versions(("lerobot", "torch", "transformers")).items()
    )
    return (
        f"{facts['processor']}, {facts['cpus']} cores, load {os.getloadavg()[0]:.1f}, {facts['system']}\n"
        f"python {facts['python']}  {software}\n"
        f"study {study.study}: batch {spec.optim.batch_size}, {spec.threads} threads, {device_name()}; "
        f"{rounds} rounds of {steps} steps each"
    )


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("config.yaml"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=8, help="of a turn, at least 2")
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    options = parser.parse_args()
    try:
        study = load_study(options.study).study
        cores = len(os.sched_getaffinity(0))
        task = study_task(study, options.results, (WARM_UP + options.rounds) * options.steps + 2, cores)
        print(describe(study, task, options.rounds, options.steps), flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
            turns = Turns(options.conditions, task, Path(folder))
            try:
                found, memory = measure(turns, options.conditions, options.rounds, options.steps)
            finally:
                turns.end()
    except UserError as error:
        raise SystemExit(str(error)) from error
    print(format_table(found, memory))


if __name__ == "__main__":
    main()
