"""Stages in the making: copies of what they have so far, for whoever goes on should their machine vanish.

In a remote such a copy is one small file that names others by their digests, so it is whole or not there, and the
stage may go on while it is made. A tree takes one only where nobody has begun the stage itself.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from world_modality.store.done import FileEntry
from world_modality.store.files import LEFTOVER, file_digest, files_below, sync_tree, write_atomically
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder, incoming_folder, outgoing_folder, stage_folder
from world_modality.store.leases import this_process
from world_modality.trees.arrival import Busy, holding, one_copier
from world_modality.trees.copying import copy_and_digest
from world_modality.trees.identity import tree_name
from world_modality.trees.names import ATTEMPTS, LOG, UNFINISHED, is_key, is_safe
from world_modality.trees.remote import Item, Remote, Told

PARTS = ("work", "seconds", "artifact", "volatile")
"""Folders of a stage in the making. Work comes first: what its checkpoints count on is copied after them."""
LIVE_FOLDERS, LIVE_ENDS = ("leases", "workers"), (".lock", ".lease", ".draft", ".part")
"""What belongs to processes at work, and means nothing elsewhere."""
COPIED = ".copied.json"
"""In the work of a stage that came from elsewhere: what of, so that a newer copy may replace it until it is begun."""
TRIES = 3  # at a copy while the stage replaces its files

Digests = dict[Path, tuple[int, int, str]]
"""Size, time of change and digest of files that were copied before."""


class Copy(BaseModel):
    """What the file in the remote says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tree: str
    host: str  # for people
    files: dict[str, FileEntry]  # by path relative to the stage's folder


def push_unfinished(remote: Remote, root: Path, stage: str, key: str, known: Digests, told: Told) -> bool:
    """Copy what a stage in the making has so far, in place of this tree's copy before; False if nothing is new.

    ``known`` remembers digests from one call to the next. RemoteError as the remote does.
    """
    folder, tree, drafts = stage_folder(root, stage, key), tree_name(root), outgoing_folder(root, stage, key)
    base = f"{UNFINISHED}/{stage}/{key}/{tree}"
    there = _parse(remote.read(f"{base}.json"))
    held = {entry.sha256 for entry in there.files.values()} if there else set[str]()
    with one_copier(root, stage, key):
        shutil.rmtree(drafts, ignore_errors=True)
        try:
            files = _gather(folder, drafts / base, held, known)
            if not files or (there and files == there.files):
                return False
            wanted = {entry.sha256 for entry in files.values()}
            new = sorted(path for path in (drafts / base).glob("*") if path.name in wanted)
            items = [Item(path.relative_to(drafts).as_posix(), path.stat().st_size, path.name) for path in new]
            remote.put(drafts, items, told)
        finally:
            shutil.rmtree(drafts, ignore_errors=True)
    text = Copy(tree=tree, host=this_process()["host"], files=files).model_dump_json(indent=1)
    remote.write(f"{base}.json", text.encode())
    remote.delete([f"{base}/{digest}" for digest in held - wanted])
    return True


def _gather(folder: StageFolder, drafts: Path, held: set[str], known: Digests) -> dict[str, FileEntry]:
    """Copy files of a stage that may be at work, by their digests, but for those ``held`` already; {} if it removes or
    replaces them too fast."""
    for _ in range(TRIES):
        files: dict[str, FileEntry] = {}
        try:
            for name, path in _files_now(folder).items():
                status = path.stat()
                seen = known.get(path)
                if seen is None or seen[:2] != (status.st_size, status.st_mtime_ns) or seen[2] not in held:
                    digest = _copied(path, drafts, status)
                    known[path] = seen = (status.st_size, status.st_mtime_ns, digest)
                files[name] = FileEntry(size=status.st_size, sha256=seen[2])
        except (FileNotFoundError, _Replaced):
            continue
        return files
    return {}


class _Replaced(Exception):
    """A file was exchanged or cut while it was copied, so the copy may be of neither. One that grew is whole."""


def _copied(path: Path, drafts: Path, status: os.stat_result) -> str:
    draft = drafts / "draft"
    digest = copy_and_digest(path, draft, status.st_size)
    now = path.stat()
    if now.st_ino != status.st_ino or now.st_size < status.st_size:
        raise _Replaced
    draft.replace(drafts / digest)
    return digest


def _files_now(folder: StageFolder) -> dict[str, Path]:
    found = {name: folder.path / name for name in (ATTEMPTS, LOG) if (folder.path / name).is_file()}
    for part in PARTS:
        for name, path in files_below(folder.path / part, follow=False):
            if not path.is_symlink() and not _is_live(f"{part}/{name}"):
                found[f"{part}/{name}"] = path
    return {name: path for name, path in found.items() if is_safe(name)}


def _is_live(name: str) -> bool:
    *folders, last = name.split("/")
    live = last.endswith(LIVE_ENDS) or LEFTOVER.fullmatch(last) is not None or last == COPIED
    return live or any(each in LIVE_FOLDERS for each in folders)


def pull_unfinished(remote: Remote, root: Path, stage: str, key: str, told: Told) -> bool:
    """Begin a stage with the largest copy that the remote has of what others made of it; False if nothing was taken.

    That is where nobody has begun the stage here, or where it has only been copied before. RemoteError as the remote
    does; a copy that is not what it says is passed over, as one that changes at this moment is.
    """
    folder, tree = stage_folder(root, stage, key), tree_name(root)
    if not _is_free(folder):
        return False
    found = {
        name: copy
        for name in remote.files(f"{UNFINISHED}/{stage}/{key}/")
        if (copy := _parse(remote.read(name) if name.endswith(".json") else None)) and _is_takeable(copy, name, tree)
    }
    if not found:
        return False
    name, copy = max(found.items(), key=lambda each: sum(entry.size for entry in each[1].files.values()))
    if _note_of(folder).get("files") == _shown(copy):
        return False
    drafts = incoming_folder(root, tree)
    base = name.removesuffix(".json")
    wanted = {entry.sha256: entry.size for entry in copy.files.values()}
    remote.get(drafts, [Item(f"{base}/{digest}", size, digest) for digest, size in wanted.items()], told)
    bad = [digest for digest in wanted if not _is_as_named(drafts / base / digest)]
    for digest in bad:
        (drafts / base / digest).unlink(missing_ok=True)
    if bad:
        return False
    try:
        placed = _place(folder, copy, drafts / base)
    except Busy:
        return False
    shutil.rmtree(drafts / base, ignore_errors=True)
    return placed


def _is_free(folder: StageFolder) -> bool:
    """Whether nobody has begun a stage here: no start is noted but those that came with a copy."""
    if sealed_done(folder) is not None:
        return False
    note = _note_of(folder)
    attempts = folder.attempts.read_text() if folder.attempts.is_file() else ""
    return attempts == note.get("attempts", "") and (bool(note) or not folder.work.exists())


def _place(folder: StageFolder, copy: Copy, drafts: Path) -> bool:
    with holding(folder):
        if not _is_free(folder):
            return False
        ready = drafts / "ready"
        shutil.rmtree(ready, ignore_errors=True)
        for name, entry in copy.files.items():
            (ready / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(drafts / entry.sha256, ready / name)
        (ready / "work").mkdir(exist_ok=True)
        attempts = (ready / ATTEMPTS).read_text() if (ready / ATTEMPTS).is_file() else ""
        note = {"files": _shown(copy), "attempts": attempts, "tree": copy.tree, "host": copy.host}
        write_atomically(ready / "work" / COPIED, json.dumps(note).encode())
        sync_tree(ready)
        for part in PARTS:
            shutil.rmtree(folder.path / part, ignore_errors=True)
        for each in sorted(ready.iterdir(), key=lambda path: path.name == ATTEMPTS):  # its starts come last
            each.rename(folder.path / each.name)
    return True


def _is_takeable(copy: Copy, name: str, tree: str) -> bool:
    """Whether a copy is another tree's, and can be placed: nothing in it leads elsewhere."""
    parts = tuple(f"{part}/" for part in PARTS)
    return (
        copy.tree != tree
        and name.endswith(f"/{copy.tree}.json")
        and is_key(copy.tree)
        and all(is_safe(each) and (each.startswith(parts) or each in (ATTEMPTS, LOG)) for each in copy.files)
        and all(_is_digest(entry.sha256) for entry in copy.files.values())
    )


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _is_as_named(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and file_digest(path) == path.name


def _parse(data: bytes | None) -> Copy | None:
    try:
        return None if data is None else Copy.model_validate_json(data)
    except ValidationError:
        return None


def _shown(copy: Copy) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in sorted(copy.files.items())}


def _note_of(folder: StageFolder) -> Mapping[str, Any]:
    try:
        value = json.loads((folder.work / COPIED).read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
