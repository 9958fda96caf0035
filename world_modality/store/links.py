"""Names for people: relative links into the content-addressed tree, never read by anything."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from world_modality.store.layout import names_folder, stage_folder


def link_stage(root: Path, study: str, name: str, stage: str, key: str) -> Path:
    """Make ``by-name/<study>/<name>`` point to a stage's artifact; the link."""
    return _link(names_folder(root, study) / name, stage_folder(root, stage, key).artifact)


def link_files(root: Path, study: str, stage: str, key: str) -> None:
    """Make every file of a stage's artifact (the report) appear directly below ``by-name/<study>``."""
    for path in sorted(stage_folder(root, stage, key).artifact.iterdir()):
        _link(names_folder(root, study) / path.name, path)


def _link(link: Path, target: Path) -> Path:
    """Point ``link`` to ``target``, replacing what it pointed to before without a moment in between."""
    goal = os.path.relpath(target, link.parent)
    if link.is_symlink() and str(link.readlink()) == goal:
        return link
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    temporary.symlink_to(goal)
    temporary.replace(link)
    return link
