"""LeRobot's checkpoints, made atomic: a folder that bears a step's number is complete and on the disk.

When one is saved and how many are kept cannot change a result, so neither is in a study: see :class:`Saving`.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from world_modality.errors import UserError
from world_modality.store.digests import is_intact, note_digests
from world_modality.store.files import sync_folder, sync_tree

KEEP_VARIABLE = "WORLD_MODALITY_KEEP_CHECKPOINTS"
KEEP = 2  # where the variable does not say otherwise
PARTIAL = ".partial"
REPLACED = f".replaced{PARTIAL}"
WORK_PER_SAVE = 20  # time trained for each second that saving takes, at least


class Saving(BaseModel):
    """When a training saves a checkpoint, and how many it keeps."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    """Of training between two checkpoints."""
    work_per_save: float = WORK_PER_SAVE
    """Seconds of training for each second that saving took, at least."""
    keep: int = KEEP
    """The newest so many are kept, at least 1. While one is being written, there is one more on the disk."""


def kept_checkpoints(environment: Mapping[str, str]) -> int:
    """How many checkpoints the environment asks to keep; UserError if that is no whole number from 1 on."""
    text = environment.get(KEEP_VARIABLE, str(KEEP))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{KEEP_VARIABLE} is '{text}': set it to how many checkpoints to keep, at least 1")
    return int(text)


def complete_checkpoints(root: Path) -> list[Path]:
    """The complete checkpoints in LeRobot's ``checkpoints`` folder ``root``, oldest first; links are no checkpoints."""
    if not root.is_dir():
        return []
    found = [path for path in root.iterdir() if path.name.isdigit() and path.is_dir() and not path.is_symlink()]
    return sorted(found, key=lambda path: int(path.name))


def require_finite(weights: Path) -> None:
    """UserError that names the first tensor of a ``.safetensors`` file that holds NaN or infinity, if any does."""
    import torch
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118  # no mapping
            if not torch.isfinite(file.get_tensor(name)).all():
                raise UserError(f"training: {name} is not finite after the last step: lower training.lr")


def discard(checkpoint: Path) -> None:
    """Delete a checkpoint so that a crash in the middle leaves nothing that looks complete."""
    doomed = checkpoint.with_name(checkpoint.name + PARTIAL)
    checkpoint.rename(doomed)
    shutil.rmtree(doomed)


def recover(root: Path) -> Path | None:
    """Mend what a crash left in ``root`` and return the newest complete checkpoint, if any.

    What is unfinished or damaged is deleted; a checkpoint that was about to be replaced is put back. All processes of a
    training may do this at the same time, before the first of them saves.
    """
    for aside in root.glob(f"*{REPLACED}"):
        with contextlib.suppress(OSError):  # the new one is in its place, or another process was faster
            aside.rename(root / aside.name.removesuffix(REPLACED))
    for path in root.glob(f"*{PARTIAL}"):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)
    for checkpoint in reversed(complete_checkpoints(root)):
        if is_intact(checkpoint):
            return checkpoint
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            discard(checkpoint)
    return None


def saving_atomically(
    save: Callable[..., None], keep: int | None = KEEP, beside: Sequence[Path] = ()
) -> Callable[..., None]:
    """LeRobot's ``save_checkpoint`` with the same arguments, atomic, keeping the newest ``keep`` checkpoints.

    With None all are kept. The files ``beside`` are copied into each, as they are when it is saved. A checkpoint of the
    same step, of a training that went on from an older one, is replaced.
    """

    def save_checkpoint(checkpoint_dir: Path, **rest: Any) -> None:
        partial = checkpoint_dir.with_name(checkpoint_dir.name + PARTIAL)
        if partial.exists():  # of a training that was killed here
            shutil.rmtree(partial)
        save(checkpoint_dir=partial, **rest)
        for file in (each for each in beside if each.is_file()):
            shutil.copyfile(file, partial / file.name)
        note_digests(partial)
        sync_tree(partial)
        replaced = checkpoint_dir.with_name(checkpoint_dir.name + REPLACED)
        if checkpoint_dir.exists():
            checkpoint_dir.rename(replaced)
        partial.rename(checkpoint_dir)
        sync_folder(checkpoint_dir.parent)
        if replaced.exists():
            shutil.rmtree(replaced)
        if keep is not None:
            for old in complete_checkpoints(checkpoint_dir.parent)[:-keep]:
                discard(old)

    return save_checkpoint


def pointing_atomically(point: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """LeRobot's ``update_last_checkpoint``, whose link ``last`` leads somewhere at every moment.

    LeRobot removes the link before it makes the new one; here it makes the new one in a folder of its own.
    """

    def update_last_checkpoint(checkpoint_dir: Path) -> Path:
        root = checkpoint_dir.parent
        aside = root / f"last{PARTIAL}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        point(aside / checkpoint_dir.name)
        (link,) = aside.iterdir()
        link.replace(root / link.name)
        aside.rmdir()
        sync_folder(root)
        return root / link.name

    return update_last_checkpoint


class SaveClock:
    """Says when to save: after ``saving.seconds`` of training, or later if saving takes long."""

    def __init__(self, saving: Saving, clock: Callable[[], float] = time.monotonic) -> None:
        self._saving, self._clock = saving, clock
        self._resumed_work = clock()
        self._cost = 0.0

    def due(self) -> bool:
        """Whether enough work would be lost by now."""
        return self._clock() - self._resumed_work >= max(self._saving.seconds, self._saving.work_per_save * self._cost)

    def timed(self, save: Callable[..., None]) -> Callable[..., None]:
        """``save``, with its duration noted."""

        def save_and_note(**arguments: Any) -> None:
            start = self._clock()
            save(**arguments)
            self._resumed_work = self._clock()
            self._cost = self._resumed_work - start

        return save_and_note
