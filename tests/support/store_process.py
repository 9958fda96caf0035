"""A process that runs one stage through the store: ``python -m support.store_process ROOT RUNNER``."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from world_modality.store import seal as seal_module
from world_modality.store.execute import execute
from world_modality.store.files import write_atomically
from world_modality.store.keys import stage_key
from world_modality.store.stage import Input, StageContext, StageRequest
from world_modality.study.specs import PolicySpec

EPISODES = 20


def request(seed: int = 0, inputs: tuple[Input, ...] = ()) -> StageRequest:
    """A small stage, told apart by its seed."""
    spec = PolicySpec(family="smolvla", source="scratch", name="tiny", revision="", seed=seed)
    key = stage_key("policy", 1, {}, spec.address(), [(each.role, each.key) for each in inputs])
    return StageRequest("policy", key, 1, f"policy {seed}", spec, spec.address(), {}, inputs)


def count(spec: Any, context: StageContext) -> dict[str, int]:
    """Write EPISODES lines, one every EPISODE_SECONDS, each once over all attempts but for the one in hand at a
    kill."""
    for episode in range(EPISODES):
        done = context.work / f"{episode}"
        if not done.exists():
            time.sleep(float(os.environ.get("EPISODE_SECONDS", "0")))
            with (context.artifact / "episodes.txt").open("a") as file:
                file.write(f"{episode}\n")
            done.touch()
    return {"episodes": EPISODES}


def die_while_sealing(spec: Any, context: StageContext) -> dict[str, int]:
    """Finish the work, and be killed between the two copies of the record."""
    facts = count(spec, context)
    calls = 0

    def write_then_die(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == int(os.environ["DIE_AT_WRITE"]):
            path.with_name("." + path.name + ".tmp").write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write_atomically(path, data)

    seal_module.write_atomically = write_then_die
    return facts


if __name__ == "__main__":
    ran = execute(Path(sys.argv[1]), request(), globals()[sys.argv[2]], cores=1, stream=sys.stderr)
    print("ran" if ran else "found it done")
