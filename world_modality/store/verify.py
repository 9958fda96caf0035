"""Is every sealed result still what was sealed?"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.done import DoneFile, FileEntry, content_digest, read_done
from world_modality.store.files import file_digest, files_below, sync_folder
from world_modality.store.layout import StageFolder, damaged_folder
from world_modality.store.machine import source_digest


@dataclass(frozen=True)
class Finding:
    """Something to tell about one stage folder. Damage is a wrong result, anything else a note."""

    folder: Path
    label: str
    text: str
    damage: bool


def verify(root: Path, stages: Iterable[str]) -> Iterator[tuple[StageFolder, list[Finding]]]:
    """Check every stage folder that claims to be sealed; one item each, with an empty list for a sound one."""
    for stage in stages:
        for path in sorted(path for path in (root / stage).glob("*") if path.is_dir()):
            folder = StageFolder(path)
            if folder.done.exists() or folder.seal.exists():
                yield folder, list(check(folder))


def damage(folder: StageFolder) -> list[Finding]:
    """What is wrong with one stage folder that claims to be sealed; nothing with a sound one."""
    return [finding for finding in check(folder) if finding.damage]


def require_as_sealed(folder: StageFolder, name: str) -> Path:
    """A sealed artifact's file, by its path; UserError if it is not what the stage was sealed with."""
    record, path = read_done(folder.done), folder.artifact / name
    entry = record.files.get(name) if record else None
    if entry is not None and _change(path, entry):
        raise UserError(
            f"{path} is not as it was sealed: remove the folder {folder.path} and run the study again, which makes "
            "it anew"
        )
    return path


def check(folder: StageFolder) -> Iterator[Finding]:
    """What there is to tell of a stage folder that claims to be sealed."""
    first, second = read_done(folder.done), read_done(folder.seal)
    record = first or second
    if record is None:
        yield Finding(folder.path, folder.path.name, "DONE.json is not a whole record", damage=True)
        return

    def finding(text: str, damage: bool = True) -> Finding:
        return Finding(folder.path, record.label, text, damage)

    if first is None:
        yield finding("DONE.json is missing or torn; the next run restores it", damage=folder.done.exists())
    elif second is None:
        text = "seal.json, the second copy of DONE.json, is missing or torn: remove it, and the next run restores it"
        yield finding(text, damage=False)
    if record.expected_key() != folder.path.name or record.key != folder.path.name:
        yield finding(f"DONE.json does not belong here: its contents give key {record.expected_key()}")
    if record.content_digest != content_digest(record.files):
        yield finding("DONE.json contradicts itself: its content_digest is not that of its files")
    if first is not None and second is not None and first != second:
        yield finding("DONE.json and its second copy seal.json are whole and differ")
    yield from (finding(text) for text in _compare(folder, record))
    if record.source_digest != source_digest():
        yield finding("made by another version of the library's source", damage=False)


def set_aside(root: Path, folder: StageFolder) -> Path:
    """Move a damaged stage out of the way in one rename, so that it is made anew; where it lies now."""
    target = damaged_folder(root) / f"{folder.path.parent.name}-{folder.path.name}-{uuid.uuid4().hex[:8]}"
    target.parent.mkdir(exist_ok=True)
    folder.path.rename(target)
    sync_folder(target.parent)
    sync_folder(folder.path.parent)
    return target


def _compare(folder: StageFolder, record: DoneFile) -> Iterator[str]:
    """Differences between the artifact and its record."""
    present = dict(files_below(folder.artifact)) if folder.artifact.is_dir() else {}
    for name, entry in record.files.items():
        change = _change(present[name], entry) if name in present else "is missing"
        if change:
            yield f"artifact/{name} {change}"
    for name in sorted(present.keys() - record.files.keys()):
        yield f"artifact/{name} was added after sealing"


def _change(path: Path, entry: FileEntry) -> str:
    """What became of a sealed file, in words; "" if it is as it was. A disk that fails tells of it when it is read."""
    try:
        size = path.stat().st_size
        if size != entry.size:
            return f"changed: {size} bytes, sealed with {entry.size}"
        return "" if file_digest(path) == entry.sha256 else "changed: same size, other contents"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
