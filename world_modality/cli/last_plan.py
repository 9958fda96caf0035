"""Which study was run last, and with which plan, so that whoever looks at the run need not plan it again.

A look asks no hub and no server then, and takes the same second whatever the study's size.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.files import read_object, write_atomically
from world_modality.store.layout import (
    RESULTS_VARIABLE,
    last_plans_folder,
    last_results_file,
    last_study_file,
    names_folder,
    snapshots_folder,
)
from world_modality.study.outline import Outline, outline_of, read_outline


@dataclass(frozen=True)
class LastPlan:
    """A study as it was run last."""

    study: str  # its name
    file: Path  # as it was given, relative to the working folder if it lies in it
    digest: str  # of the file's content then
    snapshot: Path

    def is_of(self, file: Path) -> bool:
        """Whether ``file`` is this study's, and says now what it said then."""
        return self.file.resolve() == file.resolve() and self.digest == _digest(file)


def remember_study(root: Path, study: Path, *further: Path) -> None:
    """Note that ``study`` is being run; also in ``further`` results trees, where the study itself names ``root``."""
    for folder in dict.fromkeys((root, *further)):
        write_atomically(last_study_file(folder), os.fsencode(f"{_shown(study, folder)}\n"))


def remember_results(study: Path, root: Path, own: Path) -> None:
    """Note in the working folder that ``study`` is being run in ``root``, if that is not its ``own`` results tree.

    Whoever looks at it or goes on with it need not name the place again. A folder that cannot be written has no note.
    """
    file = last_results_file()
    with suppress(OSError):
        if root.resolve() == own.resolve():
            file.unlink(missing_ok=True)
        else:
            remember_study(file.parent, study)
            write_atomically(file, os.fsencode(f"{_shown(root, root)}\n"))


def noted_results(study: Path) -> Path | None:
    """Where ``remember_results`` noted that a study was run; None if it did not, or another was run here since, or
    somebody names a place now."""
    file = last_results_file()
    if os.environ.get(RESULTS_VARIABLE):
        return None
    try:
        root, last = _path_in(file), _path_in(last_study_file(file.parent))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return root if last.resolve() == study.resolve() else None


def remember_plan(root: Path, name: str, study: Path, snapshot: Path) -> None:
    """Note that the study called ``name`` is being run with the plan in ``snapshot``.

    A copy of its file with the same name is a study of its own, and has a note of its own.
    """
    file, folder = str(_shown(study, root)), last_plans_folder(root)
    note = {"study": name, "file": file, "digest": _digest(study), "snapshot": snapshot.name}
    path = folder / f"{name}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:16]}.json"
    write_atomically(path, (json.dumps(note) + "\n").encode())
    older = folder / f"{name}.json"  # as an earlier version called it, whatever the file
    if read_object(older).get("file") == file:
        older.unlink(missing_ok=True)


def _shown(study: Path, root: Path) -> Path:
    """A study's path, relative to the working folder if it and the results lie in it, so that all can be moved."""
    path, here = study.resolve(), Path.cwd()
    return path.relative_to(here) if all(each.is_relative_to(here) for each in (path, root.resolve())) else path


def last_plans(root: Path) -> list[LastPlan]:
    """The plans of all studies that were run here, by name: one for each file, as it was run last."""
    return [plan for path in sorted(last_plans_folder(root).glob("*.json")) if (plan := _read(root, path)) is not None]


def same_name_lines(root: Path, name: str, study: Path, snapshot: Path) -> list[str]:
    """That the links by this name have led to another study file's results so far; nothing if they have not.

    Nor if that file is gone, as one that was renamed, or has the same stages. ``snapshot`` is the plan of ``study``.
    """
    notes = sorted(last_plans_folder(root).glob("*.json"), key=lambda path: path.stat().st_mtime)
    found = [plan for path in notes if (plan := _read(root, path)) is not None and plan.study == name]
    if not found:
        return []
    last = found[-1]
    if last.file.resolve() == study.resolve() or not last.file.is_file() or last.snapshot.name == snapshot.name:
        return []
    return [
        f"same name    {last.file} says `study: {name}` too: {names_folder(root, name)} led to its results, and leads "
        f"to those of {study} from now on; give one of the two another name"
    ]


def plan_of_file(root: Path, file: Path) -> LastPlan | None:
    """The plan that a study was run with last, if its file has not changed since and the plan is still there."""
    return next((plan for plan in last_plans(root) if plan.is_of(file) and plan.snapshot.is_file()), None)


def open_outline(root: Path, study: Path) -> tuple[Outline, list[str]]:
    """A study's stages, and lines about what is not known of them.

    As it was run last, if its file says the same now; else as a run would plan it, without waiting for a hub.
    """
    last = plan_of_file(root, study)
    if last is not None:
        with suppress(UserError):  # a snapshot that was damaged: the study's file says the same
            return read_outline(last.snapshot), []
    from world_modality.cli.explain import unresolved_lines  # planning imports ten times as much as looking
    from world_modality.cli.planning import plan_study

    planned = plan_study(study, root, lenient=True)
    return outline_of(planned.graph), unresolved_lines(planned)


class OpenStudy:
    """A study that is looked at for a while, in which it may be run with another plan."""

    def __init__(self, root: Path, file: Path) -> None:
        self._root, self._file = root, file
        self._plan = plan_of_file(root, file)
        self.outline, self.notes = open_outline(root, file)

    def refresh(self) -> bool:
        """Take up another plan, if there is one; whether there was. A file that is being edited changes nothing."""
        plan = plan_of_file(self._root, self._file)
        if plan == self._plan or plan is None:
            return False
        self._plan = plan
        self.outline, self.notes = read_outline(plan.snapshot), []
        return True


def last_study(root: Path, default: Path | None) -> tuple[Path, str]:
    """The study that was run last, or ``default`` if none was, and the line that says so.

    Raises:
        UserError: the study that was run last is gone, or none was and there is no default.
    """
    file = last_study_file(root)
    try:
        study = _path_in(file)
    except (FileNotFoundError, NotADirectoryError):
        if default is None:
            raise UserError(
                f"nothing was run in {root}: name the folder of the results with --results, or begin with "
                "`wm run --study FILE`"
            ) from None
        return default, f"study file   {default} (none was run here yet)"
    if not study.is_file():
        raise UserError(f"{study}, the study that was run last according to {file}, is gone; name one with --study")
    elsewhere = noted_results(study)
    return study, f"study file   {study} (run last{f', in {elsewhere}' if elsewhere else ''})"


def _path_in(file: Path) -> Path:
    """The path that a note holds."""
    return Path(os.fsdecode(file.read_bytes()).removesuffix("\n"))


def _read(root: Path, path: Path) -> LastPlan | None:
    note = read_object(path)
    try:
        snapshot = snapshots_folder(root) / Path(str(note["snapshot"])).name
        return LastPlan(str(note.get("study", path.stem)), Path(str(note["file"])), str(note["digest"]), snapshot)
    except KeyError:
        return None


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
