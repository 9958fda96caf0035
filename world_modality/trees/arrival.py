"""A stage that comes from another tree: copied beside the tree, looked at, then put in place whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.done import DoneFile, content_digest, read_done
from world_modality.store.files import file_digest, files_below, sync_folder, sync_tree, write_atomically
from world_modality.store.layout import StageFolder, incoming_folder, stage_folder
from world_modality.store.lock import exclusive
from world_modality.store.seal import clean, is_sealed
from world_modality.trees.names import is_safe
from world_modality.trees.remote import Refused

NAMED = 3  # files that a sentence names


class Busy(Exception):
    """Somebody works on the stage at this moment, so nothing is put in its place."""


def draft_folder(root: Path, tree: str, stage: str, key: str) -> StageFolder:
    """Where the tree ``tree`` gathers a stage for the tree ``root``."""
    return stage_folder(incoming_folder(root, tree), stage, key)


@contextmanager
def holding(folder: StageFolder) -> Iterator[None]:
    """Hold a stage alone; Busy if anybody works on it. Where the file system keeps no locks, no study is run at all."""
    folder.path.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with suppress(UserError):
            stack.enter_context(exclusive(folder.lock, _refuse))
        yield


def one_copier(root: Path, stage: str, key: str) -> AbstractContextManager[None]:
    """One process of the tree ``root`` copies a stage at a time, there or back; others wait."""
    return exclusive(stage_folder(root, stage, key).path / "copy.lock", lambda: None)


def _refuse() -> None:
    raise Busy


def parse_record(data: bytes, stage: str, key: str, where: str) -> DoneFile:
    """A DONE.json that came from elsewhere; Refused unless it is a whole record of just that stage."""
    try:
        record = DoneFile.model_validate_json(data)
    except ValueError:
        raise Refused(f"{where}: {stage}/{key}/DONE.json is not a whole record, so the stage is not taken") from None
    if (record.stage, record.key) != (stage, key) or record.expected_key() != key:
        raise Refused(f"{where}: {stage}/{key}/DONE.json belongs to {record.stage}/{record.expected_key()}, not taken")
    if record.content_digest != content_digest(record.files):
        raise Refused(f"{where}: {stage}/{key}/DONE.json contradicts itself, so the stage is not taken")
    hostile = sorted(name for name in record.files if not is_safe(name))
    if hostile:
        raise Refused(
            f"{where}: {stage}/{key} names a file {hostile[0]!r}, which could lead out of the tree: not taken"
        )
    return record


def require_whole(draft: StageFolder, record: DoneFile, where: str) -> None:
    """Compare what was copied with its record. Refused names what differs, which is copied anew the next time."""
    bad = {name: fault for name in record.files if (fault := _fault(draft, name, record))}
    for name in bad:
        (draft.artifact / name).unlink(missing_ok=True)
    if bad:
        told = "; ".join(f"artifact/{name} {fault}" for name, fault in list(bad.items())[:NAMED])
        more = f"; {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise Refused(
            f"{where}: {record.stage}/{record.key} ({record.label}) is not as it was sealed, so it is not taken: "
            f"{told}{more}; remove that folder there, and it is made anew"
        )
    for name, path in files_below(draft.artifact, follow=False):
        if name not in record.files:  # of an earlier, other copy
            path.unlink()


def _fault(draft: StageFolder, name: str, record: DoneFile) -> str:
    path, entry = draft.artifact / name, record.files[name]
    if any(each.is_symlink() for each in (path, *path.parents) if each.is_relative_to(draft.artifact)):
        return "is a link"
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != entry.size:
        return f"has {path.stat().st_size} bytes, sealed with {entry.size}"
    return "has other contents" if file_digest(path) != entry.sha256 else ""


def install(root: Path, draft: StageFolder, stage: str, key: str, data: bytes) -> bool:
    """Put a stage that was copied and found whole in place; False, and the copy goes, if the stage is sealed there.

    ``data`` is its DONE.json, written last. Attempts of both places are remembered, since the first rollout's start
    is asked for. Busy if somebody works on the stage.
    """
    folder = stage_folder(root, stage, key)
    with holding(folder):
        if is_sealed(folder):
            shutil.rmtree(draft.path, ignore_errors=True)
            return False
        for part in (folder.artifact, folder.volatile, folder.work):
            shutil.rmtree(part, ignore_errors=True)
        sync_tree(draft.path)
        draft.artifact.rename(folder.artifact)
        if draft.volatile.is_dir():
            draft.volatile.rename(folder.volatile)
        join_attempts(draft, folder)
        if draft.log.is_file() and not (folder.log.exists() and folder.log.stat().st_size):
            draft.log.rename(folder.log)
        sync_folder(folder.path)
        write_atomically(folder.seal, data)
        write_atomically(folder.done, data)
        clean(folder)
    shutil.rmtree(draft.path, ignore_errors=True)
    return True


def join_attempts(draft: StageFolder, folder: StageFolder) -> None:
    """Every start of the stage, wherever it was, in the order of time."""
    lines = {line for each in (draft, folder) for line in _lines(each.attempts)}
    if lines:
        write_atomically(folder.attempts, "".join(f"{line}\n" for line in sorted(lines)).encode())


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.is_file() else []


def difference(mine: StageFolder, theirs: DoneFile) -> str:
    """Which files of two results with one key disagree, in words; "" if none does."""
    own = read_done(mine.done) or read_done(mine.seal)
    if own is None or own.content_digest == theirs.content_digest:
        return ""
    names = sorted(name for name in own.files | theirs.files if own.files.get(name) != theirs.files.get(name))
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
