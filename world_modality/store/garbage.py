"""Removing stages that nobody needs, so that whoever dies on the way leaves no half of a sealed result."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from world_modality.store.files import names_in, sync_folder
from world_modality.store.keys import KEY_LENGTH
from world_modality.store.layout import StageFolder, removed_folder
from world_modality.store.lock import is_locked
from world_modality.store.look import bytes_below, workers


@dataclass(frozen=True)
class Unneeded:
    """A stage's folder that can go."""

    stage: str
    folder: StageFolder
    size: int  # bytes
    newest: float  # seconds since 1970: when it was made, or last worked on
    busy: bool  # somebody works on it, so that it stays


def unneeded(root: Path, kinds: Iterable[str], needed: Collection[str]) -> Iterator[Unneeded]:
    """The stages of these kinds, sealed or not, whose keys are not ``needed``."""
    for kind in kinds:
        for key in sorted(set(names_in(root / kind)) - set(needed)):
            folder = StageFolder(root / kind / key)
            if len(key) == KEY_LENGTH and folder.path.is_dir() and not folder.path.is_symlink():
                busy = is_locked(folder.lock) or bool(workers(folder))
                yield Unneeded(kind, folder, bytes_below(folder.path), _newest(folder), busy)


def remove(root: Path, folder: StageFolder) -> None:
    """Remove a stage. At every moment it is either whole and where it was, or no result any more."""
    target = removed_folder(root) / f"{folder.path.parent.name}-{folder.path.name}"
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    try:
        folder.path.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        for record in (folder.done, folder.seal):  # a kind's folder on another disk: without these it is unsealed
            record.unlink(missing_ok=True)
        sync_folder(folder.path)
        target = folder.path
    shutil.rmtree(target)


def finish_removals(root: Path) -> int:
    """Remove what an earlier removal that was killed left; its bytes."""
    folder = removed_folder(root)
    size = bytes_below(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return size


def _newest(folder: StageFolder) -> float:
    times = [0.0]
    for path in (folder.run, folder.done, folder.log, folder.attempts):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)
