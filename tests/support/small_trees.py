"""Results trees with sealed stages that nobody computed, and a process that copies one and is killed on the way:
``python -m support.small_trees push|pull ROOT REMOTE KEY BYTES``."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from world_modality.store.done import DoneFile, read_done
from world_modality.store.execute import execute
from world_modality.store.keys import stage_key
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.stage import StageContext, StageRequest
from world_modality.trees import arrival
from world_modality.trees.remote import open_remote
from world_modality.trees.transfer import pull_sealed, push_sealed

STAGE = "encoder"
FILES = {"weights.bin": b"w" * 300_000, "deeper/config.json": b"{}", "empty": b""}


class Numbered(BaseModel):
    """A spec that is told from others by its number."""

    number: int


def request_of(number: int, arithmetic: str = "native", stage: str = STAGE) -> StageRequest:
    spec = Numbered(number=number)
    address = spec.model_dump() | {"arithmetic": arithmetic}
    key = stage_key(stage, 1, {}, address, [])
    return StageRequest(stage, key, 1, f"{stage} {number}", spec, address, {}, ())


def make(root: Path, number: int, files: Mapping[str, bytes] = FILES, arithmetic: str = "native") -> StageFolder:
    """Seal a stage that holds these files."""

    def write(spec: Any, context: StageContext) -> dict[str, int]:
        for name, content in files.items():
            (context.artifact / name).parent.mkdir(parents=True, exist_ok=True)
            (context.artifact / name).write_bytes(content)
        return {"files": len(files)}

    request = request_of(number, arithmetic)
    execute(root, request, write, cores=1, stream=io.StringIO())
    return stage_folder(root, request.stage, request.key)


def sealed(root: Path) -> dict[str, DoneFile]:
    """Records of the sealed stages of a tree, by ``stage/key``; AssertionError if one is not whole."""
    found = {"/".join(path.parts[-3:-1]): read_done(path) for path in root.glob("*/*/DONE.json")}
    records = {name: record for name, record in found.items() if record is not None}
    assert records.keys() == found.keys()
    return records


def contents(folder: StageFolder) -> dict[str, bytes]:
    """Every file of an artifact."""
    paths = (path for path in folder.artifact.rglob("*") if path.is_file())
    return {path.relative_to(folder.artifact).as_posix(): path.read_bytes() for path in paths}


def killing_after(size: int) -> Callable[[int], None]:
    """Called with bytes that were copied: ends this process as ``kill -9`` does when there are more than ``size``."""
    copied = 0

    def told(more: int) -> None:
        nonlocal copied
        copied += more
        if copied > size:
            os.kill(os.getpid(), signal.SIGKILL)

    return told


def _die(path: Path, data: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    way, root, remote, key, size = sys.argv[1:]
    if size == "before-its-record":
        arrival.write_atomically, size = _die, "1e12"
    copy = push_sealed if way == "push" else pull_sealed
    copy(open_remote(remote), Path(root), STAGE, key, killing_after(int(float(size))))
