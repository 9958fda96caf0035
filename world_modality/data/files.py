"""Folders that a stage fills in one go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def empty_folder(folder: Path) -> None:
    """Make ``folder`` exist and hold nothing, so that no leftover of an interrupted attempt is sealed with the rest."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give ``target`` the content of ``source``: by a hard link where the file system allows, else by a copy.

    Only for files that are never changed in place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
