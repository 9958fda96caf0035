"""What was published where, noted in the results tree: a file per repository, so that later calls and reports know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from world_modality.publishing.bundle import Bundle, RepoFile, What
from world_modality.store.done import Closed, FileEntry
from world_modality.store.files import write_atomically
from world_modality.store.hub import RepoType
from world_modality.store.layout import published_folder


class Note(Closed):
    """A repository, as it was last published from this tree."""

    study: str
    what: What
    label: str
    repo_id: str
    repo_type: RepoType
    commit: str
    private: bool
    stages: dict[str, str]  # ``<stage>/<key>`` -> content digest
    files: dict[str, FileEntry]

    @property
    def named(self) -> str:
        """As `wm fetch-published` takes it."""
        return f"{'datasets/' if self.repo_type == 'dataset' else ''}{self.repo_id}@{self.commit}"


def write_note(root: Path, study: str, bundle: Bundle, commit: str, *, private: bool) -> Note:
    """Note a repository that holds all of ``bundle``; nothing is written if the same is noted."""
    note = Note(
        study=study,
        what=bundle.what,
        label=bundle.label,
        repo_id=bundle.repo_id,
        repo_type=bundle.repo_type,
        commit=commit,
        private=private,
        stages={f"{each.record.stage}/{each.record.key}": each.record.content_digest for each in bundle.stages},
        files={file.name: _entry(file) for file in bundle.files},
    )
    path = _path(root, note.repo_id, note.repo_type)
    data = (note.model_dump_json(indent=1) + "\n").encode()
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
    return note


def notes_of(root: Path, study: str | None = None) -> Sequence[Note]:
    """What was published from this tree, of one study or of all, by name."""
    return tuple(note for note in _every(root) if study in (None, note.study))


def _every(root: Path) -> Iterator[Note]:
    for path in sorted(published_folder(root).glob("*/*/*.json")):
        try:
            yield Note.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):  # of another version
            continue


def _path(root: Path, repo_id: str, repo_type: RepoType) -> Path:
    return published_folder(root) / f"{repo_type}s" / f"{repo_id}.json"


def _entry(file: RepoFile) -> FileEntry:
    return FileEntry(size=file.size, sha256=file.digests[0])
