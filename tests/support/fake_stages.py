"""Runners that stand in for every stage where only the order and number of runs matter.

Each stage has three episodes of work, journalled like a rollout's: a line is fsynced before the episode counts, a
restart
goes on with the next one, and the artifact is a function of the spec and of the inputs' artifacts alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from world_modality.store.lock import exclusive
from world_modality.store.stage import StageContext

EPISODES = 3
SECONDS_VARIABLE = "FAKE_STAGE_SECONDS"  # per episode


def run(spec: Any, context: StageContext) -> dict[str, int]:
    """Work through the episodes that the journal lacks, then write one file."""
    with exclusive(context.work.parent / "fake.lock", lambda: None):  # as several may work on a rollout at once
        return _work(spec, context)


def _work(spec: Any, context: StageContext) -> dict[str, int]:
    journal = context.work / "journal.txt"
    done = journal.read_text().count("\n") if journal.exists() else 0
    for episode in range(done, EPISODES):
        time.sleep(float(os.environ.get(SECONDS_VARIABLE, "0")))
        with journal.open("a") as file:
            file.write(f"{episode}\n")
            file.flush()
            os.fsync(file.fileno())
        _remember(context, episode)
        context.progress.update(episode + 1, EPISODES, "episodes")
    print("a library prints this")
    print("and warns about that", file=sys.stderr)
    sources = [_result(folder) for paths in context.inputs.values() for folder in paths]
    text = spec.model_dump_json() + "".join(sources)
    result = {"digest": hashlib.sha256(text.encode()).hexdigest()}
    (context.artifact / "result.json").write_text(json.dumps(result))
    return {"episodes": EPISODES}


def report(spec: Any, context: StageContext) -> dict[str, int]:
    """With the files that Snakemake's own report shows."""
    facts = run(spec, context)
    (context.artifact / "report.html").write_text("<!doctype html><title>toy</title>")
    (context.artifact / "figures").mkdir(exist_ok=True)
    (context.artifact / "figures" / "rates.all-tasks.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return facts


def fail(spec: Any, context: StageContext) -> dict[str, int]:
    """A stage with a bug."""
    raise ZeroDivisionError("division by zero")


def fill(spec: Any, context: StageContext) -> dict[str, int]:
    """Writes more than the disk holds, once: what it wrote is kept, as a checkpoint would be, in a file of its own."""
    if not os.environ.get("FAKE_STAGE_CALM"):
        with (context.artifact / "much").open("wb") as file:
            for _ in range(1 << 12):
                file.write(bytes(1 << 16))
    (context.artifact / "much").unlink(missing_ok=True)
    return run(spec, context)


def lose_disk(spec: Any, context: StageContext) -> dict[str, int]:
    """The disk of the results changes while the stage works on it, by the command that a test gives."""
    if command := os.environ.get("FAKE_STAGE_COMMAND"):
        os.chdir("/")  # whoever works in a folder keeps its disk
        subprocess.run(command.split(), check=True)
    return run(spec, context)


def blab(spec: Any, context: StageContext) -> dict[str, Any]:
    """Tells every secret of the environment in every way that there is, and fails with them on demand."""
    told = " ".join(os.environ[name] for name in os.environ["FAKE_STAGE_SECRETS"].split())
    print(told)
    print(told, file=sys.stderr, flush=True)
    os.write(1, f"native {told}\n".encode())
    for part in (told[:9], told[9:], "\n"):  # piece by piece, as a slow printer would
        os.write(2, part.encode())
        time.sleep(0.05)
    subprocess.run([sys.executable, "-c", f"print({told!r})"], check=True)
    context.progress.update(1, 2, "episodes", told)
    context.progress.say(told)
    if os.environ.get("FAKE_STAGE_FAILS") == type(spec).__name__:
        raise RuntimeError(f"401 Unauthorized for {told}")
    return {**run(spec, context), "told": told}


def tell_waiting(spec: Any, context: StageContext) -> dict[str, int]:
    """Prints how threads will wait, from before torch was imported."""
    print(f"{os.environ['OMP_WAIT_POLICY']} {'torch' in sys.modules}")
    return run(spec, context)


def _result(folder: Path) -> str:
    """The upstream result; a policy that is a training's checkpoint is a folder inside the training's artifact."""
    artifact = folder if folder.name == "artifact" else folder.parent
    return (artifact / "result.json").read_text()


def _remember(context: StageContext, episode: int) -> None:
    """One file per episode ever finished; an episode that is finished twice makes the second attempt fail."""
    folder = context.artifact.parents[2] / "finished-episodes"
    folder.mkdir(exist_ok=True)
    (folder / f"{context.key}-{episode}").touch(exist_ok=False)


def finished_episodes(root: Path) -> int:
    """Episodes finished so far in a results tree."""
    return len(list((root / "finished-episodes").iterdir()))


STAGES = ("policy", "encoder", "demos", "relabel", "dataset", "latents", "prophet", "train", "rollout", "report")
RUNNERS = {**dict.fromkeys(STAGES, run), "report": report}
TELLING = {**dict.fromkeys(STAGES, tell_waiting), "report": report}
FAILING = RUNNERS | {"policy": fail}
UNROLLABLE = RUNNERS | {"rollout": fail}
UNTRAINABLE = RUNNERS | {"train": fail}
FILLING = RUNNERS | {"policy": fill}
LOSING = RUNNERS | {"policy": lose_disk}
BLABBING = dict.fromkeys(STAGES, blab)
