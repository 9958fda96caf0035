"""``python -m support.killed_training ROOT STEPS SEED KILLS``: one cell trained twice, once in peace and once killed.

ROOT holds the inputs. Every training is a forked process; the killed one gets SIGKILL at KILLS random moments and
is started again each time. Prints the number of attempts that were killed.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import time
from pathlib import Path

from support.tiny_cell import ROLES, cell_context, train_spec

from world_modality.training import checkpoints, stage

MEMORY = "pred"


def start(root: Path, out: Path, steps: int) -> int:
    """Fork a process that runs the stage with a checkpoint at every step; its id."""
    child = os.fork()
    if child:
        return child
    try:
        stage.SAVE_SECONDS, checkpoints.WORK_PER_SAVE = 0.0, 0
        inputs = {role: (root / role,) for role in ROLES}
        stage.run(train_spec(MEMORY, steps=steps), cell_context(out, inputs, memory=MEMORY))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def wait_for(metrics: Path, lines: int, child: int) -> bool:
    """Wait until the metrics have so many lines; False if the process ended before."""
    while not (metrics.is_file() and metrics.read_text().count("\n") >= lines):
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    return True


def main() -> None:
    """See the module's docstring."""
    root, steps, seed, kills = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    for module in ("lerobot.scripts.lerobot_train", "lerobot_policy_world_modality.convert"):
        importlib.import_module(module)  # before the first fork, so that a start costs little
    _, status = os.waitpid(start(root, root / "peaceful", steps), 0)
    assert status == 0
    rng, killed = random.Random(seed), 0
    for target in sorted(rng.sample(range(1, steps), kills)):
        child = start(root, root / "killed", steps)
        assert wait_for(root / "killed" / "artifact" / "metrics.jsonl", target, child)
        time.sleep(rng.uniform(0, 0.1))  # somewhere in a step, a save or a deletion
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    _, status = os.waitpid(start(root, root / "killed", steps), 0)
    assert status == 0
    print(killed)


if __name__ == "__main__":
    main()
