"""Names for people: relative links into the content-addressed tree, never read by anything."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from world_modality.store.keys import KEY_LENGTH
from world_modality.store.layout import names_folder, stage_folder
from world_modality.store.lock import exclusive
from world_modality.store.stage import TIMING

TRIES = 10
OURS = re.compile(rf"[^/]+/[0-9a-f]{{{KEY_LENGTH}}}/(artifact|(artifact|volatile)/[^/]+)")
"""What a name leads to, seen from the results tree: an artifact, or a file of the report's or of what is told of it."""


def link_all(root: Path, study: str, names: Mapping[str, tuple[str, str]], unfold: str) -> None:
    """Make ``by-name/<study>`` hold these names and no others.

    Args:
        root: results tree.
        study: whose names they are.
        names: name -> (stage, key) of a sealed result.
        unfold: a kind of stage whose artifact's files lie directly below ``by-name/<study>`` too (the report).

    Links into the tree that say something else, and folders that this empties, are removed. Whatever else someone
    keeps there stays.
    """
    folder = names_folder(root, study)
    wanted = {folder / name: stage_folder(root, *result).artifact for name, result in names.items()}
    for stage, key in names.values():
        if stage == unfold:
            made = stage_folder(root, stage, key)
            files = (*made.artifact.glob("*"), *made.volatile.glob(TIMING))
            wanted |= {folder / path.name: path for path in files}
    with _changing(root):
        _prune(root, folder, wanted)
        for link, target in wanted.items():
            _link(link, target)


def link_stage(root: Path, study: str, name: str, stage: str, key: str) -> Path:
    """Make ``by-name/<study>/<name>`` point to a stage's artifact, and leave other names alone; the link.

    It waits for nobody: a process that is stopped while it holds a lock would stop every other that has sealed a stage.
    """
    link, target = names_folder(root, study) / name, stage_folder(root, stage, key).artifact
    for _ in range(TRIES):
        with suppress(FileNotFoundError):  # its folder was empty, and another just removed it
            return _link(link, target)
    return _link(link, target)


def prune_dead(root: Path) -> None:
    """Remove our links, of whatever study, to results that are gone."""
    with _changing(root):
        for folder in (path for path in (root / "by-name").glob("*") if path.is_dir()):
            alive = {
                link: Path(os.path.normpath(link.parent / link.readlink()))
                for link in folder.rglob("*")
                if link.is_symlink() and link.exists()
            }
            _prune(root, folder, alive)


def linked_key(root: Path, study: str, name: str) -> str | None:
    """The key that ``by-name/<study>/<name>`` leads to, be its result there or not; None if there is no such link."""
    link = names_folder(root, study) / name
    if not link.is_symlink() or not _is_ours(root, link):
        return None
    return Path(os.path.normpath(link.parent / link.readlink())).parent.name


def linked_keys(root: Path, study: str) -> set[str]:
    """The keys that links below ``by-name/<study>`` lead to, be their results there or not."""
    links = (path for path in names_folder(root, study).rglob("*") if path.is_symlink() and _is_ours(root, path))
    return {os.path.relpath(os.path.normpath(link.parent / link.readlink()), root).split("/")[1] for link in links}


def _changing(root: Path) -> AbstractContextManager[None]:
    """Who makes all names at once does so alone."""
    return exclusive(root / "by-name" / ".lock", lambda: None)


def _prune(root: Path, folder: Path, wanted: Mapping[Path, Path]) -> None:
    """Remove our links that are not ``wanted``, and folders without any entry."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for link in (Path(parent, name) for name in (*folders, *files)):
            if link.is_symlink() and _is_ours(root, link) and not _leads_to(link, wanted.get(link)):
                link.unlink()
        if Path(parent) != folder and not any(Path(parent).iterdir()):
            with suppress(OSError):  # a stage that is being sealed has just got a name in it
                Path(parent).rmdir()


def _is_ours(root: Path, link: Path) -> bool:
    """Whether a link could be one of those made here: relative, to an artifact of this tree, be it there or not."""
    goal = os.path.relpath(os.path.normpath(link.parent / link.readlink()), root)
    return not link.readlink().is_absolute() and OURS.fullmatch(goal) is not None


def _leads_to(link: Path, target: Path | None) -> bool:
    return target is not None and str(link.readlink()) == os.path.relpath(target, link.parent)


def _link(link: Path, target: Path) -> Path:
    """Point ``link`` to ``target``, replacing what it pointed to before without a moment in between."""
    if link.is_symlink() and _leads_to(link, target):
        return link
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
    return link
