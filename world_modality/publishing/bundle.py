"""What becomes one repository: its files, and the sealed stages that they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from world_modality.errors import UserError
from world_modality.publishing.names import safe_name
from world_modality.store.done import Closed, DoneFile, Run
from world_modality.store.hub import RepoType

What = Literal["latents", "checkpoints", "records", "report"]
WHAT: tuple[What, ...] = ("latents", "checkpoints", "records", "report")
"""What can be published, in the order in which it is: a later card may name an earlier repository."""
CARD = "README.md"
OWN = "world_modality"
"""Folder of a repository with what only this package reads."""
STAGES, PLANS = f"{OWN}/stages.jsonl", f"{OWN}/plans.jsonl"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Part:
    """Content that lies on the disk or is made here."""

    source: Path | bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """The content, piece by piece."""
        if isinstance(self.source, bytes):
            yield self.source
            return
        with self.source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk


@dataclass(frozen=True)
class RepoFile:
    """A file of a repository: one content, or several behind each other."""

    name: str
    parts: tuple[Part, ...]

    @property
    def path(self) -> Path | None:
        """The file on the disk that it is; None if it is put together here."""
        source = self.parts[0].source if len(self.parts) == 1 else b""
        return source if isinstance(source, Path) else None

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts)

    def chunks(self) -> Iterator[bytes]:
        """The content, piece by piece."""
        for part in self.parts:
            yield from part.chunks()

    @cached_property
    def digests(self) -> tuple[str, str]:
        """sha256, by which the hub knows large files, and git's own of a blob, by which it knows the others."""
        large, small = hashlib.sha256(), hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)
        for chunk in self.chunks():
            large.update(chunk)
            small.update(chunk)
        return large.hexdigest(), small.hexdigest()


def file_of(name: str, source: Path | bytes | str) -> RepoFile:
    """A file of one content."""
    return RepoFile(name, (Part(source.encode() if isinstance(source, str) else source),))


class Place(Closed):
    """Where the content of a sealed file lies in a repository."""

    file: str
    offset: int = 0  # of its first byte


class Laid(Closed):
    """A sealed stage, and where its files lie in a repository: a line of ``world_modality/stages.jsonl``."""

    study: str
    names: tuple[str, ...]  # for people, below results/by-name/<study>
    record: DoneFile
    run: Run | None  # when and on what kind of machine; None if the tree does not know
    places: Mapping[str, Place]  # by path relative to the artifact

    def line(self) -> str:
        """One line of JSON, with its newline."""
        return self.model_dump_json() + "\n"


def read_laid(text: str, where: str) -> tuple[Laid, ...]:
    """The stages of a repository; UserError if the text is none of ours, or a name in it would leave its folder."""
    try:
        found = tuple(Laid.model_validate_json(line) for line in text.splitlines())
    except ValidationError as error:
        raise UserError(
            f"{where}: {STAGES} is damaged, or of another version of this package ({error.error_count()} errors, the "
            f"first at {'.'.join(map(str, error.errors()[0]['loc']))}): ask whoever published it"
        ) from error
    for laid in found:
        for name in (laid.study, *laid.names, *laid.record.files, *(place.file for place in laid.places.values())):
            safe_name(name, where)
    return found


@dataclass(frozen=True)
class Bundle:
    """One repository to be."""

    what: What
    label: str  # for people
    repo_id: str
    repo_type: RepoType
    stages: tuple[Laid, ...]
    content: tuple[RepoFile, ...]  # but the card
    card: str = field(repr=False, default="")

    @property
    def files(self) -> tuple[RepoFile, ...]:
        """All files, the card first."""
        return (*((file_of(CARD, self.card),) if self.card else ()), *self.content)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def stages_file(stages: Sequence[Laid]) -> RepoFile:
    """The file that says which sealed stages a repository holds."""
    return file_of(STAGES, "".join(laid.line() for laid in stages))
