"""Turning a finished stage folder into a sealed one, and finding out whether it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from world_modality.redaction import redacted
from world_modality.store.done import DoneFile, FileEntry, Run, content_digest, read_done
from world_modality.store.failure import forget_failure
from world_modality.store.files import (
    file_digest,
    files_below,
    remove_leftovers,
    sync_folder,
    sync_tree,
    write_atomically,
)
from world_modality.store.layout import StageFolder
from world_modality.store.leases import remove_drafts
from world_modality.store.machine import machine, source_digest, versions
from world_modality.store.machines import others
from world_modality.store.stage import SEALED, StageRequest


def is_sealed(folder: StageFolder) -> bool:
    """Whether the stage is done, DONE.json or its second copy telling. Call it under the stage's lock.

    Restores what is missing of the two. A result of which someone removed DONE.json and some files is forgotten.
    """
    if read_done(folder.done) is not None:
        restore_second(folder)
        return True
    if restore(folder):
        return True
    if read_done(folder.seal) is not None:
        _discard(folder)
    return False


def restore(folder: StageFolder) -> bool:
    """Write DONE.json again from its second copy; False if there is none, or its files are not there.

    Snakemake deletes a declared output before it starts the job, so a sealed stage that is asked for again
    (after a kill, or because a rule's text changed) has its result but no DONE.json.
    """
    record = read_done(folder.seal)
    if record is None or not is_whole(folder, record):
        return False
    write_atomically(folder.done, folder.seal.read_bytes())
    return True


def restore_second(folder: StageFolder) -> None:
    """Write the second copy again from DONE.json, a whole record, where it is missing or cut.

    Its size tells, since this is asked of thousands of stages at a time; `wm verify` reads both. A copy that is whole
    and says something else stays: somebody has to look which of them is right.
    """
    whole = folder.seal.is_file() and folder.seal.stat().st_size == folder.done.stat().st_size
    if not whole and read_done(folder.seal) is None:
        write_atomically(folder.seal, folder.done.read_bytes())


def seal(
    folder: StageFolder,
    request: StageRequest,
    facts: Mapping[str, Any],
    wall_seconds: float,
    attempts: int,
    cores: int = 1,
    gpu_seconds: float = 0.0,
) -> DoneFile:
    """Digest the artifact, write the record, and drop the work folder.

    A crash before the record is written leaves the stage unsealed: it is started again and finds its artifact
    and its work as they were. A crash after it leaves at most a work folder, which the next start removes.

    Raises:
        RuntimeError: the stage left nothing to seal.
    """
    remove_leftovers(folder.artifact)  # of worker processes that were killed without the stage
    files = {name: _synced_entry(path) for name, path in files_below(folder.artifact)}
    if not files:
        raise RuntimeError(f"{request.label} wrote nothing below {folder.artifact}")
    for parent, _, _ in os.walk(folder.artifact):
        sync_folder(Path(parent))
    here = machine()
    run = Run(
        sealed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        wall_seconds=round(wall_seconds, 3),
        attempts=attempts,
        cores=cores,
        gpu_seconds=round(gpu_seconds, 3),
        machine=here,
        others=others(folder.machines, here),
    )
    write_atomically(folder.run, (run.model_dump_json(indent=1) + "\n").encode())
    sync_tree(folder.volatile)
    sync_folder(folder.path)
    record = DoneFile(
        stage=request.stage,
        key=request.key,
        version=request.version,
        label=request.label,
        spec=request.spec.model_dump(mode="json", context=SEALED),
        address=dict(request.address),
        upstream=tuple(each.source for each in request.inputs),
        software=dict(request.software),
        files=files,
        content_digest=content_digest(files),
        facts=json.loads(redacted(json.dumps(dict(facts), default=_plain))),
        versions={**versions(), **request.software},
        source_digest=source_digest(),
    )
    data = (record.model_dump_json(indent=1) + "\n").encode()
    write_atomically(folder.seal, data)
    write_atomically(folder.done, data)
    clean(folder)
    return record


def clean(folder: StageFolder) -> None:
    """Remove what only an unfinished stage needs.

    The work goes in one moment, before its files do: a helper that still looks at it must find all of it or nothing.
    """
    shutil.rmtree(folder.finished, ignore_errors=True)
    with suppress(OSError):  # there is none, or another removes it now
        folder.work.rename(folder.finished)
    shutil.rmtree(folder.finished, ignore_errors=True)
    shutil.rmtree(folder.seconds, ignore_errors=True)
    shutil.rmtree(folder.machines, ignore_errors=True)
    folder.progress.unlink(missing_ok=True)
    remove_drafts(folder.path)
    forget_failure(folder)


def is_whole(folder: StageFolder, record: DoneFile) -> bool:
    """Whether every sealed file is there with its size; `wm verify` compares the contents too."""
    return not lacking(folder, record)


def lacking(folder: StageFolder, record: DoneFile) -> str:
    """The first sealed file that is not there with its size, by its path in the artifact; "" if there is none."""
    return next((name for name, each in record.files.items() if not _is_there(folder.artifact / name, each.size)), "")


def _is_there(path: Path, size: int) -> bool:
    try:
        with path.open("rb") as file:  # what is not opened a file server's client may remember as it was
            return os.fstat(file.fileno()).st_size == size
    except OSError:
        return False


def _discard(folder: StageFolder) -> None:
    """Forget a result of which someone removed DONE.json and a part: it must be made again from nothing."""
    for part in (folder.artifact, folder.volatile, folder.work):
        shutil.rmtree(part, ignore_errors=True)
    folder.seal.unlink()


def _synced_entry(path: Path) -> FileEntry:
    """A file's entry, once its contents are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return FileEntry(size=path.stat().st_size, sha256=file_digest(path))


def _plain(value: Any) -> Any:
    """A stage's fact as JSON knows it: numpy scalars as numbers, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)
