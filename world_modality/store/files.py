"""Writing that survives power loss, folders filled in one go, and digests of files and folders."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from world_modality.errors import UserError
from world_modality.store.keys import KEY_LENGTH

LEFTOVER = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{8}\.tmp")
"""Names of ``write_atomically``'s temporary files."""


def write_atomically(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data``, or stay as it was: temporary file, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def writing_for(option: str, path: Path) -> Iterator[None]:
    """Where a person named the place of an output: UserError, with the option, if it cannot be written there."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{option}: {path} cannot be written ({error.strerror}): name another place") from error


def write_json(path: Path, value: Any, *, sort_keys: bool = False) -> None:
    """``write_atomically`` for JSON that people may read."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=sort_keys)
    write_atomically(path, (text + "\n").encode())


def read_object(path: Path) -> dict[str, Any]:
    """A file's JSON object; empty if there is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files that writers killed with ``kill -9`` left below ``folder``; none may be at work there."""
    for name, path in files_below(folder, follow=False):
        if LEFTOVER.fullmatch(name.rpartition("/")[2]):
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries (renames, new files) durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(root: Path) -> None:
    """Bring every file and folder at and below ``root`` to the disk."""
    for folder, _, names in os.walk(root):
        for name in names:
            with Path(folder, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(folder))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder to fill, which becomes ``target`` when the block ends: all of it, or nothing.

    Drafts of the same folder that processes of this machine left behind, which are no more, are removed.

    Raises:
        UserError: there is something at ``target`` already, which is left as it is, or nothing can be written there.
    """
    if target.is_symlink() or target.exists():
        raise UserError(f"{target} exists already and is never overwritten: name a new folder, or remove that one")
    whose = f".{target.name}.{socket.gethostname()}"
    draft = target.with_name(f"{whose}.{os.getpid()}.{secrets.token_hex(4)}.part")
    _clear(target.parent, whose)
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}): name a folder that can") from error
    try:
        yield draft
        sync_tree(draft)
        draft.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _clear(folder: Path, whose: str) -> None:
    """Remove the drafts that begin with ``whose`` and were some process's that does not run any more."""
    for draft in folder.glob(f"{glob.escape(whose)}.*.part"):
        pid = draft.name.split(".")[-3]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(draft, ignore_errors=True)


def names_in(folder: Path) -> list[str]:
    """Names of what lies in a folder, in no order; none if there is no such folder. One look, however many they are."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


def files_below(folder: Path, *, follow: bool = True) -> Iterator[tuple[str, Path]]:
    """(relative POSIX path, path) of every file below ``folder``, sorted.

    Links count as the files, and unless ``follow`` is false as the folders, that they point to.
    """
    found = [
        (Path(parent, name).relative_to(folder).as_posix(), Path(parent, name))
        for parent, _, names in os.walk(folder, followlinks=follow)
        for name in names
    ]
    yield from sorted(found)


def visible_files(folder: Path, patterns: Sequence[str] = ("*",)) -> Iterator[tuple[str, Path]]:
    """``files_below`` but for hidden files and folders, of which the relative path matches a shell pattern."""
    for name, path in files_below(folder):
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and matches(name, patterns):
            yield name, path


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether a relative path matches one of these shell patterns, in which ``*`` stands for slashes too."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def file_digest(path: Path) -> str:
    """sha256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(
    folder: Path,
    *,
    patterns: Sequence[str] = ("*",),
    exclude: Collection[str] = frozenset(),
    cache: Path | None = None,
) -> str:
    """16 hex digits over the relative paths and contents of all files below ``folder``, but those in ``exclude``.

    Hidden files and folders do not count, nor what matches none of ``patterns``; ``exclude`` too holds shell patterns.
    ``cache`` is a JSON file that remembers digests by path, size and modification time: a data set of many gigabytes
    is then read once, not at every start.
    """
    files = [(name, path) for name, path in visible_files(folder, patterns) if not matches(name, exclude)]
    known: dict[str, list[Any]] = _read_cache(cache) if cache else {}
    fresh: dict[str, list[Any]] = {}
    total = hashlib.sha256()
    for name, path in files:
        status = path.stat()
        identity = [status.st_size, status.st_mtime_ns]
        entry = known.get(str(path.resolve()))
        content = entry[2] if entry and entry[:2] == identity else file_digest(path)
        fresh[str(path.resolve())] = [*identity, content]
        total.update(f"{name}\0{content}\n".encode())
    if cache and any(known.get(path) != entry for path, entry in fresh.items()):
        with suppress(OSError):  # a folder that several machines may only read is read anew every time
            write_atomically(cache, json.dumps(known | fresh).encode())
    return total.hexdigest()[:KEY_LENGTH]


def _read_cache(cache: Path) -> dict[str, list[Any]]:
    try:
        value = json.loads(cache.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


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
