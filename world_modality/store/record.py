"""DONE.json: what a sealed stage is, what it was made from, and the digest of every file it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from world_modality.store.keys import stage_key


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


class Record(Closed):
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
    facts: dict[str, Any]
    versions: dict[str, str]
    source_digest: str
    machine: dict[str, Any]
    wall_seconds: float  # of all attempts; one that was killed counts up to its last few seconds
    attempts: int
    sealed_at: str  # UTC, ISO 8601

    def expected_key(self) -> str:
        """The key that this record's own contents give."""
        upstream = [(source.role, source.key) for source in self.upstream]
        return stage_key(self.stage, self.version, self.software, self.address, upstream)


def read_record(path: Path) -> Record | None:
    """The record at ``path``, or None if it is missing or not a whole record."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
