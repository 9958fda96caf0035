"""Where LIBERO's object and scene files come from: this package, the hub, or a folder.

The hub's are addressed by commit, a folder's by content. A study is planned with ``pin_assets`` and
``assets_digest``; whoever simulates opens them with ``open_assets``, which refuses any other content.
"""

from __future__ import annotations

from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.files import folder_digest
from world_modality.store.hub import fetch, resolve_commit
from world_modality.study.specs import SimSpec

EMBEDDED = Path(__file__).parent / "embedded" / "assets"
HUB_REPOSITORY = "lerobot/libero-assets"  # the dataset repository that hf-libero itself downloads
EXPECTED_FOLDERS = ("scenes", "textures", "articulated_objects", "stable_scanned_objects")
DIGEST_LENGTH = 16
SETTING = "simulator.assets"  # of a study


def pin_assets(source: str) -> str:
    """A source that cannot move: "hub" and "hub@REVISION" with the commit they stand for, any other as it is.

    Raises:
        UserError: the hub has to be asked for the commit and cannot be reached.
    """
    revision = hub_revision(source)
    return source if revision is None else f"hub@{resolve_commit(HUB_REPOSITORY, revision, 'dataset')}"


def assets_digest(source: str, cache: Path | None = None, setting: str = SETTING) -> str:
    """16 hex digits that stand for a source's content: of its files' paths and contents, or the hub's commit.

    ``cache`` as in ``folder_digest``, ``setting`` as in ``resolve_assets``.

    Raises:
        UserError: as ``resolve_assets`` and ``pin_assets``.
    """
    commit = hub_revision(pin_assets(source))
    return folder_digest(resolve_assets(source, setting), cache=cache) if commit is None else commit[:DIGEST_LENGTH]


def resolve_assets(source: str, setting: str = SETTING) -> Path:
    """The asset folder of a source, downloaded if it must be.

    Args:
        source: "embedded" (libero_spatial only), "hub" or "hub@REVISION", or the path of a folder.
        setting: what the user named it by, for the message: a study's key, an option, a variable.

    Raises:
        UserError: the folder is missing or is no LIBERO asset folder, or the hub cannot be reached.
    """
    commit = hub_revision(pin_assets(source))
    if commit is not None:
        instead = f"set {setting} to embedded or to a folder's path"
        folder = fetch(HUB_REPOSITORY, commit, "dataset", instead=instead)
    else:
        folder = EMBEDDED if source == "embedded" else Path(source).expanduser().resolve()
    if not folder.is_dir():
        raise UserError(
            f"the LIBERO asset folder {folder} does not exist: set {setting} to a folder, 'embedded' or 'hub'"
        )
    missing = [name for name in EXPECTED_FOLDERS if not (folder / name).is_dir()]
    if missing:
        raise UserError(
            f"{folder} is no LIBERO asset folder, it lacks {', '.join(missing)}: set {setting} to the folder that "
            "holds LIBERO's scenes and objects, or to 'embedded' or 'hub'"
        )
    return folder


def open_assets(spec: SimSpec) -> Path:
    """The asset folder that ``spec`` was planned with.

    Raises:
        UserError: its content is another one by now; otherwise as ``resolve_assets``.
    """
    folder, digest = resolve_assets(spec.assets), assets_digest(spec.assets)
    if digest != spec.assets_digest:
        raise UserError(
            f"the content of the LIBERO asset folder {folder} is {digest}, but it was {spec.assets_digest} when this "
            "was planned: run it again, which plans it anew, or put back the files that it had"
        )
    return folder


def hub_revision(source: str) -> str | None:
    """The revision that "hub" or "hub@REVISION" asks for; None for any other source."""
    name, _, revision = source.partition("@")
    return (revision or "main") if name == "hub" else None
