"""Where LIBERO's object and scene files come from: this package, the hub, or a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from world_modality.errors import UserError

EMBEDDED = Path(__file__).parent / "embedded" / "assets"
HUB_REPOSITORY = "lerobot/libero-assets"  # the dataset repository that hf-libero itself downloads
EXPECTED_FOLDERS = ("scenes", "textures", "articulated_objects", "stable_scanned_objects")
DIGEST_LENGTH = 16


def resolve_assets(source: str) -> Path:
    """The asset folder of a source, downloaded if it must be.

    Args:
        source: "embedded" (libero_spatial only), "hub" or "hub@REVISION", or the path of a folder.

    Raises:
        UserError: the folder is missing or is no LIBERO asset folder, or the hub cannot be reached.
    """
    revision = _hub_revision(source)
    folder = EMBEDDED if source == "embedded" else Path(source).expanduser().resolve()
    if revision is not None:
        folder = _download(revision)
    if not folder.is_dir():
        raise UserError(f"the LIBERO asset folder {folder} does not exist: name a folder, 'embedded' or 'hub'")
    missing = [name for name in EXPECTED_FOLDERS if not (folder / name).is_dir()]
    if missing:
        raise UserError(
            f"{folder} is no LIBERO asset folder, it lacks {', '.join(missing)}: "
            "name the folder that holds LIBERO's scenes and objects, or use 'embedded' or 'hub'"
        )
    return folder


def assets_digest(source: str) -> str:
    """16 hex digits that stand for a source's content.

    For a folder, sha256 over its files' relative paths and contents in sorted order; for the hub, the commit.

    Raises:
        UserError: as ``resolve_assets``.
    """
    revision = _hub_revision(source)
    if revision is not None:
        return _hub_commit(revision)[:DIGEST_LENGTH]
    return folder_digest(resolve_assets(source))


def folder_digest(folder: Path) -> str:
    """16 hex digits over the relative paths, sizes and contents of all files below a folder."""
    digest = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files):
        with files[name].open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()[:DIGEST_LENGTH]


def _hub_revision(source: str) -> str | None:
    """The revision that "hub" or "hub@REVISION" asks for; None for any other source."""
    name, _, revision = source.partition("@")
    return (revision or "main") if name == "hub" else None


def _hub_commit(revision: str) -> str:
    """The commit of a branch or tag: the one already downloaded if there is one, else as the hub says."""
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_CACHE

    known = Path(HF_HUB_CACHE) / f"datasets--{HUB_REPOSITORY.replace('/', '--')}" / "refs" / revision
    if known.is_file():
        return known.read_text().strip()
    try:
        return str(HfApi().dataset_info(HUB_REPOSITORY, revision=revision).sha)
    except Exception as error:
        raise _unreachable(revision, error) from error


def _download(revision: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(HUB_REPOSITORY, repo_type="dataset", revision=revision))
    except Exception as error:
        raise _unreachable(revision, error) from error


def _unreachable(revision: str, error: Exception) -> UserError:
    return UserError(
        f"cannot fetch LIBERO's assets, dataset {HUB_REPOSITORY} at {revision}, from the Hugging Face hub "
        f"({type(error).__name__}): check the network and HF_HUB_OFFLINE, or set the assets to 'embedded' or a folder"
    )
