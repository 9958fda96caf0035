"""Trainings that are killed: ``python -m support.killed_training ROOT STEPS SEED KILLS CELL...``, as `run_cells` does.

A CELL is ``memory:fusion:processes``, such as pred:late:2, and ends in ``:torchrun`` where its processes are to be
started by that and not by a quick fork, or in ``:pi0`` where its policy is a small pi0 rather than a SmolVLA. Every
training is a forked process. The killed one, or one of the processes that share it, gets SIGKILL at KILLS random
moments, and the training is started again each time. Prints per cell what was killed.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from support.tiny_cell import ROLES, build_inputs, cell_context, train_spec

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.host import small_host
from world_modality.store.orphans import end_with_parent
from world_modality.training import checkpoints, stage
from world_modality.training.launch import Job, run_here
from world_modality.training.metrics import Line

REPOSITORY = Path(__file__).parents[2]
PI0 = "pi0"


def run_cells(root: Path, *cells: str, steps: int, kills: int) -> None:
    """Train ``cells`` below ``root``, each in peace in CELL/peaceful and with kills in CELL/killed.

    The moments are random, others each time; ``KILL_SEED=7 pytest ...`` repeats those of the seed that is printed.
    """
    seed = os.environ.get("KILL_SEED", str(random.randrange(10**6)))
    print(f"KILL_SEED={seed}")  # pytest shows it when a test fails
    build_inputs(root)
    small_host("pi0-tiny").build_small("pi0-tiny", 0, root / PI0, SUITES["libero_spatial"], 256)
    command = [sys.executable, "-m", "support.killed_training", str(root), str(steps), seed, str(kills), *cells]
    search = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))
    # One thread, because OpenMP's do not survive a fork: the next parallel loop would wait for them for ever.
    environment = {**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    print(run.stdout[-1000:])
    assert run.returncode == 0, f"KILL_SEED={seed}\n{run.stderr[-5000:]}"


@dataclass(frozen=True)
class Cell:
    """What is trained."""

    name: str

    @property
    def parts(self) -> list[str]:
        """Memory, fusion, number of processes and, maybe, "torchrun" or "pi0"."""
        return self.name.split(":")

    @property
    def processes(self) -> int:
        """That share the training."""
        return int(self.parts[2])

    def train(self, root: Path, out: Path, steps: int) -> None:
        """Run the stage with a checkpoint at every step."""
        memory, fusion = self.parts[:2]
        stage.SAVE_SECONDS, checkpoints.WORK_PER_SAVE = 0.0, 0
        if "torchrun" not in self.parts:
            stage.run_in_processes = run_forked
        spec = train_spec(memory, steps=steps).model_copy(update={"processes": self.processes})
        if spec.world is not None:
            spec = spec.model_copy(update={"world": spec.world.model_copy(update={"fusion": fusion})})
        inputs = {role: (root / role,) for role in ROLES}
        if PI0 in self.parts:
            inputs["policy"] = (root / PI0,)
        stage.run(spec, cell_context(out, inputs, memory=memory))


def forked(act: Callable[[], None]) -> int:
    """Fork a process that does ``act`` and does not outlive this one; its id. It ends with status 1 if that fails."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        end_with_parent(parent)
        act()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def run_forked(job: Job, folder: Path, device: str, on_line: Callable[[Line], None]) -> None:
    """As ``run_in_processes``, without the seconds that torchrun's fresh processes need to import LeRobot."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def be(rank: int) -> None:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": job.processes, "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in place.items()}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
        run_here(job, lambda _: None)

    ranks = {forked(lambda number=number: be(number)) for number in range(job.processes)}
    while ranks:
        ended, status = os.wait()
        ranks.discard(ended)
        if status:
            for rank in ranks:
                os.kill(rank, signal.SIGKILL)
                os.waitpid(rank, 0)
            raise UserError("training: a process failed")


def wait_for(metrics: Path, lines: int, child: int) -> bool:
    """Wait until the metrics have so many lines; False if the process ended before."""
    while not (metrics.is_file() and metrics.read_text().count("\n") >= lines):
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    return True


def kill_one(child: int, rng: random.Random) -> str:
    """Kill the training or one of its processes, and wait for all of them to be gone; what was killed."""
    family = psutil.Process(child).children(recursive=True)
    victim = rng.choice([child, *sorted(member.pid for member in family)])
    os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status != 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive, "processes outlive their training"
    return "the training" if victim == child else "a process"


def train_with_kills(cell: Cell, root: Path, steps: int, kills: int, rng: random.Random) -> list[str]:
    """Train ``cell`` in peace and, if there are to be any, with kills, below ``root``; what was killed."""
    place = root / cell.name
    _, status = os.waitpid(forked(lambda: cell.train(root, place / "peaceful", steps)), 0)
    assert status == 0
    killed: list[str] = []
    if not kills:
        return killed
    for target in sorted(rng.sample(range(1, steps), kills)):
        child = forked(lambda: cell.train(root, place / "killed", steps))
        assert wait_for(place / "killed" / "artifact" / "metrics.jsonl", target, child)
        time.sleep(rng.uniform(0, 0.1))  # somewhere in a step, a save or a deletion
        killed.append(kill_one(child, rng))
    _, status = os.waitpid(forked(lambda: cell.train(root, place / "killed", steps)), 0)
    assert status == 0
    return killed


def main() -> None:
    """See the module's docstring."""
    root, steps, seed, kills = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    for module in ("lerobot.scripts.lerobot_train", "lerobot_policy_world_modality.modeling_pi0_world"):
        importlib.import_module(module)  # before the first fork, so that a start costs little
    for name in sys.argv[5:]:
        print(name, train_with_kills(Cell(name), root, steps, kills, random.Random(f"{seed} {name}")), flush=True)


if __name__ == "__main__":
    main()
