"""Which study is meant by a command that names none: the one that was run last in this results tree."""

from __future__ import annotations

import os
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.files import write_atomically
from world_modality.store.layout import last_study_file


def remember_study(root: Path, study: Path) -> None:
    """Note that ``study`` is being run; relative to the working folder if it lies in it, so that both can be moved."""
    path, here = study.resolve(), Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    write_atomically(last_study_file(root), os.fsencode(f"{shown}\n"))


def last_study(root: Path, default: Path) -> tuple[Path, str]:
    """The study that was run last, or ``default`` if none was, and the line that says so.

    Raises:
        UserError: the study that was run last is gone.
    """
    file = last_study_file(root)
    try:
        study = Path(os.fsdecode(file.read_bytes()).removesuffix("\n"))
    except FileNotFoundError:
        return default, f"study file   {default} (none was run here yet)"
    if not study.is_file():
        raise UserError(f"{study}, the study that was run last according to {file}, is gone; name one with --study")
    return study, f"study file   {study} (run last)"
