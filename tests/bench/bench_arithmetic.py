"""What portable arithmetic costs: a training step and a rollout, each native and portable in turn on one core.

``make bench-arithmetic`` prints lines that begin with ``BENCH arithmetic``. Ratios of one run are comparable, times of
two runs on a shared machine are not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from stand_ins import STAND_INS

from world_modality.embedded import BASE_POLICY
from world_modality.rollout.evaluation import TIMING
from world_modality.store.arithmetic import SETTINGS

TRAINING = """
import sys
from pathlib import Path
from support.tiny_cell import build_inputs, cell_context, train_spec
from world_modality.training import stage
root, steps = Path(sys.argv[1]), int(sys.argv[2])
context = cell_context(root, build_inputs(root / "inputs"), memory="pred")
stage.run(train_spec("pred", steps=steps, batch_size=8), context)
"""


def run(command: list[str], folder: Path, arithmetic: str) -> None:
    """A command with the environment of an arithmetic; its output in ``folder``."""
    folder.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    environment |= {"OMP_NUM_THREADS": "1"} | (dict(SETTINGS) if arithmetic == "portable" else {})
    with (folder / "log.txt").open("w") as log:
        subprocess.run(command, env=environment, stdout=log, stderr=log, check=True)


def training_step(folder: Path, arithmetic: str, steps: int) -> float:
    """Seconds of a step: the median of a short training of a small policy with predicted memory."""
    run([sys.executable, "-c", TRAINING, str(folder), str(steps)], folder, arithmetic)
    seconds: float = json.loads((folder / "volatile" / "timing.json").read_text())["seconds_per_step"]
    return seconds


def rollout(folder: Path, arithmetic: str, episodes: int) -> float:
    """Seconds per episode of the packaged policy in the simulator, without the processes' start."""
    flags = {
        "policy.path": BASE_POLICY,
        "suite": "libero_spatial",
        "tasks": 0,
        "episodes": episodes,
        "horizon": 60,
        "assets": str(STAND_INS),
        "render": "fast",
        "cores": 1,
        "output": folder / "rollouts",
    }
    command = [sys.executable, "-m", "world_modality.cli.main", "rollout"]
    run([*command, *(f"--{name}={value}" for name, value in flags.items())], folder, arithmetic)
    (timing,) = (folder / "rollouts").glob(f"*/{TIMING}")
    seconds: float = json.loads(timing.read_text())["seconds"]
    return seconds / episodes


def compare(name: str, measure: Callable[[Path, str], float], rounds: int, folder: Path) -> str:
    """A line with both medians and their ratio; each round begins with the other one."""
    found: dict[str, list[float]] = {"native": [], "portable": []}
    for number in range(rounds):
        for arithmetic in sorted(found, reverse=bool(number % 2)):
            found[arithmetic].append(measure(folder / f"{name}-{number}-{arithmetic}", arithmetic))
    native, portable = (statistics.median(found[arithmetic]) for arithmetic in ("native", "portable"))
    return (
        f"BENCH arithmetic {name}: native {native:.3f} s, portable {portable:.3f} s, "
        f"ratio {portable / native:.2f} (medians of {rounds})"
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="of each training")
    parser.add_argument("--episodes", type=int, default=3, help="of each rollout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-arithmetic-") as place:
        folder = Path(place)
        for line in (
            compare("training-step", lambda at, how: training_step(at, how, options.steps), options.rounds, folder),
            compare("episode", lambda at, how: rollout(at, how, options.episodes), options.rounds, folder),
        ):
            print(line, flush=True)


if __name__ == "__main__":
    main()
