"""Fill a folder from the Hugging Face hub or from another folder."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from world_modality.data.files import empty_folder, link_or_copy
from world_modality.errors import UserError


def fetch_snapshot(
    repo_id: str,
    revision: str,
    target: Path,
    *,
    repo_type: Literal["model", "dataset"] = "model",
    patterns: Sequence[str] = ("*",),
) -> None:
    """Fill ``target`` with a hub repository at a commit, through the user's hub cache.

    An interrupted download goes on where it was, and a repository that was downloaded before needs no network.

    Raises:
        UserError: the hub is unreachable or has no such repository or revision.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot = _snapshot(repo_id, revision, repo_type, patterns)
    except LocalEntryNotFoundError as error:
        flag = " --repo-type dataset" if repo_type == "dataset" else ""
        raise UserError(
            f"the {repo_type} {repo_id} at revision {revision} is not complete in the local hub cache and the hub "
            f"cannot be reached: run `hf download {repo_id}{flag} --revision {revision}` on a machine with network, "
            f"or set its source to a local folder"
        ) from error
    except HfHubHTTPError as error:
        raise UserError(
            f"the Hugging Face hub gave no {repo_type} {repo_id} at revision {revision} "
            f"({type(error).__name__}): check name, revision and, for a gated repository, `hf auth login`"
        ) from error
    _fill(snapshot, target, patterns, link=True)


def _snapshot(repo_id: str, revision: str, repo_type: str, patterns: Sequence[str]) -> Path:
    """The repository's folder in the hub cache, fetched if the hub can be reached."""
    import httpx
    from huggingface_hub import snapshot_download

    wanted = {"repo_id": repo_id, "revision": revision, "repo_type": repo_type, "allow_patterns": list(patterns)}
    try:
        return Path(snapshot_download(**wanted))
    except (ConnectionError, httpx.TransportError):  # given a commit, the hub's client does not look in its cache first
        return Path(snapshot_download(**wanted, local_files_only=True))


def copy_folder(source: Path, target: Path, *, setting: str, patterns: Sequence[str] = ("*",)) -> None:
    """Fill ``target`` with the files below ``source`` that match ``patterns``.

    Args:
        source: the user's folder.
        target: folder to fill; what it held is removed.
        setting: the study's key that named the folder, for the message.
        patterns: shell patterns on a file's path relative to ``source``.

    Raises:
        UserError: there is no such folder, or nothing in it matches.
    """
    if not source.is_dir():
        raise UserError(f"{setting}: there is no folder {source}; give the path of an existing one")
    if not _fill(source, target, patterns):
        raise UserError(f"{setting}: the folder {source} holds no file that matches {', '.join(patterns)}")


def _fill(source: Path, target: Path, patterns: Sequence[str], *, link: bool = False) -> int:
    """Replace what ``target`` holds by the matching files of ``source``; return how many.

    ``link`` saves space by hard links: right for the hub cache, whose blobs never change, wrong for a user's folder.
    """
    empty_folder(target)
    count = 0
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        relative = file.relative_to(source)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or not any(fnmatch.fnmatch(str(relative), pattern) for pattern in patterns):
            continue
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        if link:
            link_or_copy(file, target / relative)
        else:
            shutil.copyfile(file, target / relative)
        count += 1
    return count
