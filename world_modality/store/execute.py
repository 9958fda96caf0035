"""Running one stage: lock, look again, run, seal."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from world_modality.errors import UserError
from world_modality.store.files import remove_leftovers
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.lock import exclusive
from world_modality.store.progress import LABEL_WIDTH, Progress, format_seconds
from world_modality.store.record import read_record
from world_modality.store.request import StageRequest
from world_modality.store.seal import clean, is_sealed, seal
from world_modality.store.stage import StageContext, StageRunner
from world_modality.store.stopwatch import timed


def execute(root: Path, request: StageRequest, runner: StageRunner, *, cores: int, stream: TextIO) -> bool:
    """Make sure that a stage is sealed; True if it had to run.

    Safe to call from any number of processes at any time: one works, the others wait and then find it done.
    UserError when an upstream result is missing; what the runner raises passes through and leaves the stage
    as it is, to be continued by the next call.
    """
    folder = stage_folder(root, request.stage, request.key)
    progress = Progress(request.label, stream=stream, last_line=folder.progress)
    with exclusive(
        folder.lock, lambda: progress.say(f"{request.label:<{LABEL_WIDTH}}  waits: another process works on it")
    ):
        if is_sealed(folder):
            clean(folder)
            return False
        context = _prepare(root, folder, request, cores, progress)
        attempts = _count_attempt(folder)
        with timed(folder.seconds) as elapsed:
            facts = runner(request.spec, context)
            seconds = elapsed()
        seal(folder, request, facts, seconds, attempts)
    over = f" over {attempts} attempts" if attempts > 1 else ""
    progress.say(f"{request.label:<{LABEL_WIDTH}}  done in {format_seconds(seconds)}{over}")
    return True


def _prepare(root: Path, folder: StageFolder, request: StageRequest, cores: int, progress: Progress) -> StageContext:
    inputs: dict[str, tuple[Path, ...]] = {}
    for each in request.inputs:
        source = stage_folder(root, each.stage, each.key)
        if read_record(source.done) is None:
            raise UserError(f"needs {source.path}, which is not sealed; run it through snakemake or `wm run`")
        path = source.artifact / each.folder if each.folder else source.artifact
        inputs[each.role] = (*inputs.get(each.role, ()), path.resolve())
    folder.artifact.mkdir(exist_ok=True)
    folder.work.mkdir(exist_ok=True)
    remove_leftovers(folder.path)
    return StageContext(
        key=request.key,
        artifact=folder.artifact.resolve(),
        work=folder.work.resolve(),
        inputs=inputs,
        progress=progress,
        cores=cores,
    )


def _count_attempt(folder: StageFolder) -> int:
    with folder.attempts.open("a+") as file:
        file.write(datetime.now(UTC).isoformat(timespec="seconds") + "\n")
        file.seek(0)
        return len(file.readlines())
