"""Fill a folder from the Hugging Face hub or from another folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.files import empty_folder, folder_digest, link_or_copy, visible_files
from world_modality.store.hub import RepoType, fetch


@dataclass(frozen=True)
class Content:
    """Which files of a folder are taken over, and which of them count when its content is addressed."""

    patterns: tuple[str, ...] = ("*",)  # shell patterns on relative paths; hidden files are never taken
    notes: frozenset[str] = frozenset()  # taken over, but they only tell where the rest comes from

    def digest(self, folder: Path, cache: Path | None = None) -> str:
        """Content address of a folder, 16 hex digits; ``cache`` as in ``folder_digest``."""
        return folder_digest(folder, patterns=self.patterns, exclude=self.notes, cache=cache)


DATASET = Content()
ENCODER = Content(("*.json", "*.safetensors", "*.txt", "encoder.jit"), notes=frozenset({"provenance.json"}))
TEXT_MODEL = Content(("*.json", "*.txt", "*.safetensors", "*.model"))
POLICY = Content(("*.json", "*.safetensors"), notes=frozenset({"provenance.json"}))
TEXT_FILES = ("*.json", "*.txt", "*.jinja", "*.model")
"""Of a policy's backbone: configuration, processor, tokenizer;"""
WEIGHT_FILES = ("*.safetensors",)
"""and its weights, which are only read where a policy says so."""


def fetch_snapshot(
    repo_id: str, commit: str, target: Path, *, section: str, content: Content, repo_type: RepoType = "model"
) -> None:
    """Fill ``target`` with a hub repository at a commit, through the user's hub cache.

    An interrupted download goes on where it was, and a repository that was downloaded before needs no network.
    ``section`` is the study's key with the source, for the message.

    Raises:
        UserError: the hub is unreachable or has no such repository or revision.
    """
    instead = f"set {section}.source to folder"
    _fill(fetch(repo_id, commit, repo_type, patterns=content.patterns, instead=instead), target, content, link=True)


def copy_folder(source: Path, target: Path, *, setting: str, content: Content, digest: str) -> None:
    """Fill ``target`` with the content of ``source``, which must be what it was when the study was planned.

    Args:
        source: the user's folder.
        target: folder to fill; what it held is removed.
        setting: the study's key that named the folder, for the message.
        content: what to copy.
        digest: content address of ``source`` when the study was planned.

    Raises:
        UserError: there is no such folder, nothing in it matches, or it has changed.
    """
    if not source.is_dir():
        raise UserError(f"{setting}: there is no folder {source}; give the path of an existing one")
    if not _fill(source, target, content):
        raise UserError(f"{setting}: the folder {source} holds no file that matches {', '.join(content.patterns)}")
    copied = content.digest(target)  # of the copy: a file may have changed while it was read
    if copied != digest:
        raise UserError(
            f"{setting}: the content of {source} is {copied}, but it was {digest or 'unknown'} when the study was "
            "planned: run the study again, which plans it anew, or put back the files that it had"
        )


def _fill(source: Path, target: Path, content: Content, *, link: bool = False) -> int:
    """Replace what ``target`` holds by the content of ``source``; return how many files that is.

    ``link`` saves space by hard links: right for the hub cache, whose blobs never change, wrong for a user's folder.
    """
    empty_folder(target)
    count = 0
    for name, file in visible_files(source, content.patterns):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if link:
            link_or_copy(file, target / name)
        else:
            shutil.copyfile(file, target / name)
        count += 1
    return count
