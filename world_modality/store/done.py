"""DONE.json: what a sealed stage is, what it was made from, and the digest of every file it holds.

Made again on the same kind of machine with the same software it is the same file. What is not, such as times, is a
:class:`Run` in a file of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from world_modality.store.keys import KEY_LENGTH, stage_key
from world_modality.store.layout import StageFolder


class Closed(BaseModel):
    """Base of the record's parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(Closed):
    """One file of the artifact."""

    size: int  # bytes
    sha256: str


class Source(Closed):
    """One result that was read."""

    role: str
    stage: str
    key: str


class DoneFile(Closed):
    """A sealed stage."""

    stage: str
    key: str
    version: int
    label: str  # for people, e.g. "train E2/0"; the study that made the result named it so
    spec: dict[str, Any]
    address: dict[str, Any]  # the spec as it entered the key
    upstream: tuple[Source, ...]
    software: dict[str, str]  # versions that entered the key
    files: dict[str, FileEntry]  # by path relative to the artifact
    content_digest: str  # over ``files``: equal digests, equal results
    facts: dict[str, Any]
    versions: dict[str, str]
    source_digest: str

    def expected_key(self) -> str:
        """The key that this record's own contents give."""
        upstream = [(source.role, source.key) for source in self.upstream]
        return stage_key(self.stage, self.version, self.software, self.address, upstream)


class Run(Closed):
    """How a sealed result came to be here, which another making of it need not share."""

    sealed_at: str  # UTC, ISO 8601
    wall_seconds: float  # of all attempts and all who worked on it; one that was killed counts up to its last seconds
    attempts: int
    cores: int = 0  # that whoever sealed it was given; 0 in results of before it was noted
    gpu_seconds: float = 0.0  # wall time of all who worked on it, each times the GPUs that it held
    machine: dict[str, Any]  # that sealed it
    others: tuple[dict[str, Any], ...] = ()  # that worked on it too and round otherwise, or are known better

    @property
    def machines(self) -> tuple[dict[str, Any], ...]:
        """All whose rounding may be in the result."""
        return self.machine, *self.others


def content_digest(files: Mapping[str, FileEntry]) -> str:
    """16 hex digits over all files that were sealed, as ``store.files.folder_digest`` gives of them; "" for none."""
    if not files:
        return ""
    lines = (f"{name}\0{entry.sha256}\n" for name, entry in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:KEY_LENGTH]


def read_run(path: Path) -> Run | None:
    """The run at ``path``, or None if it is missing or not whole: a tree may be copied without it."""
    try:
        return Run.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def read_done(path: Path) -> DoneFile | None:
    """The record at ``path``, or None if it is missing or not a whole record."""
    try:
        return DoneFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def stage_of(folder: Path) -> tuple[StageFolder, DoneFile] | None:
    """The sealed stage whose result a folder is, or lies in; None if it is of none."""
    for place in (folder.resolve(), *folder.resolve().parents[:3]):
        stage = StageFolder(place)
        record = read_done(stage.done)
        if record is not None:
            return stage, record
    return None
