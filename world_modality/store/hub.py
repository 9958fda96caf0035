"""Repositories of the Hugging Face hub by commit: which one a name stands for, and its files in the user's hub cache.

A branch or a tag can move, so plans, keys and jobs know repositories by their commits alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from world_modality.errors import UserError
from world_modality.store.files import matches

RepoType = Literal["model", "dataset"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_PINNED = re.compile(r"(?P<repo_id>[^@]+)@(?P<commit>[0-9a-f]{40})")


def resolve_commit(repo_id: str, revision: str, repo_type: RepoType = "model", *, now: bool = False) -> str:
    """The commit, 40 hex digits, that a branch or tag stands for; a commit is taken as it is.

    The local hub cache is asked first. What the hub answers is remembered there, so a study that is planned again
    stays the same study, whatever was uploaded in between.

    Args:
        repo_id: hub id.
        revision: commit, branch or tag.
        repo_type: of models and data sets there may be one of the same name each.
        now: what it stands for on the hub at this moment; the cache is neither asked nor told.

    Raises:
        UserError: neither the cache nor the hub can tell.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionResolutionError

    wanted: dict[str, Any] = {"repo_id": repo_id, "revision": revision, "repo_type": repo_type}
    api = HfApi()
    try:
        if now:
            return str(api.repo_info(**wanted).sha)
        with suppress(RevisionResolutionError):
            return str(api.resolve_revision(**wanted, local_files_only=True).resolved)
        return str(api.resolve_revision(**wanted).resolved)
    except (HfHubHTTPError, HFValidationError) as error:
        raise _refused(repo_id, revision, repo_type, error) from error
    except (RevisionResolutionError, ConnectionError, httpx.TransportError) as error:
        raise UserError(
            f"which commit of the {repo_type} {repo_id} its revision {revision} is cannot be told without the Hugging "
            "Face hub, which cannot be reached: check the network and HF_HUB_OFFLINE, or name a commit"
        ) from error


def fetch(
    repo_id: str, revision: str, repo_type: RepoType = "model", *, patterns: Sequence[str] = ("*",), instead: str = ""
) -> Path:
    """The folder in the user's hub cache that holds a repository's matching files, downloaded as far as they lack.

    An interrupted download goes on where it was, and what was downloaded before needs no network.

    Args:
        instead: what the user can do without the hub, for the message.

    Raises:
        UserError: the hub is unreachable or has no such repository or revision.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return _snapshot(repo_id, revision, repo_type, patterns)
    except LocalEntryNotFoundError as error:
        flag = " --repo-type dataset" if repo_type == "dataset" else ""
        raise UserError(
            f"the {repo_type} {repo_id} at revision {revision} is not complete in the local hub cache and the hub "
            f"cannot be reached: run `hf download {repo_id}{flag} --revision {revision}` on a machine with network"
            f"{f', or {instead}' if instead else ''}"
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise _refused(repo_id, revision, repo_type, error) from error


def fetch_file(repo_id: str, commit: str, name: str, repo_type: RepoType = "model") -> Path:
    """One file of a repository in the user's hub cache, downloaded if it is not there.

    Raises:
        UserError: as ``fetch``, or the repository has no such file.
    """
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repo_id, name, revision=commit, repo_type=repo_type)
    file = Path(cached) if isinstance(cached, str) else fetch(repo_id, commit, repo_type, patterns=(name,)) / name
    if not file.is_file():
        raise UserError(
            f"the {repo_type} {repo_id} at commit {commit} has no {name} on the Hugging Face hub, or none in the local "
            f"hub cache while the hub cannot be reached: check the name, or run `hf download {repo_id} {name} "
            f"--repo-type {repo_type} --revision {commit}`"
        )
    return file


def find_folder(
    name: str, repo_type: RepoType = "model", *, patterns: Sequence[str] = ("*",)
) -> tuple[Path, str | None]:
    """What someone calls ``name``: a folder, or a repository as ``<hub id>`` or ``<hub id>@<revision>``.

    Returns the folder, which is in the hub cache if it is a repository, and then the commit, else None.

    Raises:
        UserError: it is neither, or the hub is unreachable or does not have it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder, None
    if folder.is_file():
        raise UserError(f"{name} is a file: give the folder that holds it")
    repo_id, _, revision = name.partition("@")
    if not _REPOSITORY.fullmatch(repo_id):
        raise UserError(f"{name} is no folder, and no repository of the Hugging Face hub would be called so")
    try:
        commit = resolve_commit(repo_id, revision or "main", repo_type)
        return fetch(repo_id, commit, repo_type, patterns=patterns), commit
    except UserError as error:
        raise UserError(f"{name} is no folder here, so the Hugging Face hub was asked, and {error}") from error


def is_repository(name: str) -> bool:
    """Whether a repository of the hub could be called so."""
    return _REPOSITORY.fullmatch(name) is not None


def is_cached(repo_id: str, revision: str, name: str, repo_type: RepoType = "model") -> bool:
    """Whether a file of a repository is in the user's hub cache; the hub is not asked."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repo_id, name, revision=revision, repo_type=repo_type), str)


def cached_folder(repo_id: str, commit: str, repo_type: RepoType = "model") -> Path | None:
    """The folder of a repository in the user's hub cache, be it complete or not; None if nothing of it is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_id, revision=commit, repo_type=repo_type, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def listed_files(
    repo_id: str, commit: str, repo_type: RepoType = "model", *, patterns: Sequence[str] = ("*",)
) -> dict[str, int]:
    """The matching files of a repository at a commit, as the hub lists them, with their bytes.

    UserError if the hub cannot be reached or has no such repository.
    """
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        entries = list(HfApi().list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=repo_type))
    except (HfHubHTTPError, HFValidationError) as error:
        raise _refused(repo_id, commit, repo_type, error) from error
    except (ConnectionError, httpx.TransportError) as error:
        raise UserError(
            f"the Hugging Face hub cannot be reached ({type(error).__name__}): check the network and HF_HUB_OFFLINE"
        ) from error
    sizes = {entry.path: entry.size for entry in entries if getattr(entry, "size", None) is not None}
    return {name: size for name, size in sorted(sizes.items()) if matches(name, patterns)}


def hub_answers(seconds: float = 3.0) -> bool:
    """Whether the hub is asked at all, and answers within so many seconds."""
    import httpx
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        httpx.head(constants.ENDPOINT, timeout=seconds)
    except httpx.HTTPError:
        return False
    return True


def pinned_name(repo_id: str, commit: str) -> str:
    """A repository and its commit in one word: ``lerobot/smolvla_base@0123...``."""
    return f"{repo_id}@{commit}"


def split_pinned(name: str) -> tuple[str, str] | None:
    """Repository and commit of a :func:`pinned_name`; None for any other name."""
    found = _PINNED.fullmatch(name)
    return (found["repo_id"], found["commit"]) if found else None


def _snapshot(repo_id: str, revision: str, repo_type: RepoType, patterns: Sequence[str]) -> Path:
    import httpx
    from huggingface_hub import snapshot_download

    wanted: dict[str, Any] = {"repo_id": repo_id, "revision": revision, "repo_type": repo_type}
    wanted["allow_patterns"] = list(patterns)
    try:
        return Path(snapshot_download(**wanted))
    except (ConnectionError, httpx.TransportError):  # given a commit, the hub's client does not look in its cache first
        return Path(snapshot_download(**wanted, local_files_only=True))


def _refused(repo_id: str, revision: str, repo_type: RepoType, error: Exception) -> UserError:
    return UserError(
        f"the Hugging Face hub gave no {repo_type} {repo_id} at revision {revision} "
        f"({type(error).__name__}): check name, revision and, for a gated repository, `hf auth login`"
    )
