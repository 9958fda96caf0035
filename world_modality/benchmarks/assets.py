"""Object and scene files of a benchmark, known by content wherever they come from: its package, the hub, or a folder.

The hub's are addressed by commit, a folder's by its files. A study is planned with ``pin`` and ``digest``; whoever
simulates opens them with ``open``, which refuses any other content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.store.files import folder_digest
from world_modality.store.hub import fetch, resolve_commit

DIGEST_LENGTH = 16
SETTING = "simulator.assets"  # of a study


@dataclass(frozen=True)
class AssetTree:
    """Where a benchmark's assets can come from, and what a folder of them looks like.

    A source is "embedded", "hub", "hub@REVISION" or a folder's path.
    """

    benchmark: str
    """Its name, for messages."""
    folders: tuple[str, ...]
    """Folders that every tree of these assets has."""
    embedded: Path | None = None
    """The tree that comes with a package; None if none does."""
    repository: str | None = None
    """The dataset repository of the hub that holds them; None if none does."""

    def pin(self, source: str) -> str:
        """A source that cannot move: "hub" and "hub@REVISION" with the commit they stand for, any other as it is.

        Raises:
            UserError: the hub has to be asked for the commit and cannot be reached.
        """
        revision = hub_revision(source)
        return source if revision is None else f"hub@{resolve_commit(self._hub(), revision, 'dataset')}"

    def digest(self, source: str, cache: Path | None = None, setting: str = SETTING) -> str:
        """16 hex digits that stand for a source's content: of its files' paths and contents, or the hub's commit.

        ``cache`` as in ``folder_digest``, ``setting`` as in :meth:`folder`.

        Raises:
            UserError: as :meth:`folder` and :meth:`pin`.
        """
        commit = hub_revision(self.pin(source))
        return folder_digest(self.folder(source, setting), cache=cache) if commit is None else commit[:DIGEST_LENGTH]

    def folder(self, source: str, setting: str = SETTING) -> Path:
        """The folder of a source, downloaded if it must be.

        ``setting`` is what the user named it by, for the message: a study's key, an option, a variable.

        Raises:
            UserError: the folder is missing or is no tree of these assets, or the hub cannot be reached.
        """
        commit = hub_revision(self.pin(source))
        others = " or ".join(filter(None, ("'embedded'" if self.embedded else "", "'hub'" if self.repository else "")))
        if commit is not None:
            instead = f"set {setting} to {'embedded or to ' if self.embedded else ''}a folder's path"
            folder = fetch(self._hub(), commit, "dataset", instead=instead)
        elif source == "embedded" and self.embedded is not None:
            folder = self.embedded
        else:
            folder = Path(source).expanduser().resolve()
        if not folder.is_dir():
            choice = ", ".join(filter(None, ("a folder", others)))
            raise UserError(f"the {self.benchmark} asset folder {folder} does not exist: set {setting} to {choice}")
        missing = [name for name in self.folders if not (folder / name).is_dir()]
        if missing:
            raise UserError(
                f"{folder} is no {self.benchmark} asset folder, it lacks {', '.join(missing)}: set {setting} to the "
                f"folder that holds {self.benchmark}'s scenes and objects{f', or to {others}' if others else ''}"
            )
        return folder

    def open(self, source: str, digest: str) -> Path:
        """The folder of a source whose content was ``digest`` when its use was planned.

        Raises:
            UserError: its content is another one by now; otherwise as :meth:`folder`.
        """
        folder, found = self.folder(source), self.digest(source)
        if found != digest:
            raise UserError(
                f"the content of the {self.benchmark} asset folder {folder} is {found}, but it was {digest} when this "
                "was planned: run it again, which plans it anew, or put back the files that it had"
            )
        return folder

    def _hub(self) -> str:
        if self.repository is None:
            raise UserError(f"{self.benchmark}'s assets are not on the hub: set {SETTING} to a folder's path")
        return self.repository


def hub_revision(source: str) -> str | None:
    """The revision that "hub" or "hub@REVISION" asks for; None for any other source."""
    name, _, revision = source.partition("@")
    return (revision or "main") if name == "hub" else None


def asset_tree(suite: str) -> AssetTree | None:
    """Where a suite's assets can come from; None for a suite that needs none, UserError if there is no such suite."""
    reference = SUITES[suite].asset_tree
    tree: AssetTree | None = None if reference is None else reference.load()
    return tree
