"""Object and scene files of a benchmark, known by content wherever they come from: packages, the hub, or a folder.

A study is planned with ``pin`` and ``digest``; whoever simulates opens them with ``open``, which refuses any other
content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.store.files import folder_digest
from world_modality.store.hub import fetch, resolve_commit
from world_modality.store.keys import digest_of
from world_modality.store.packages import DIGESTS, PackagedFiles, cache_folder

PACKAGE = "package"
SETTING = "simulator.assets"  # of a study


@dataclass(frozen=True)
class AssetTree:
    """Where a benchmark's assets can come from, and what a folder of them looks like.

    A source is "package", "hub", "hub@REVISION" or a folder's path.
    """

    benchmark: str
    """Its name, for messages."""
    folders: tuple[str, ...]
    """Folders that every tree of these assets has."""
    package: PackagedFiles | None = None
    """The packages of the registry that bring them; None if none do."""
    package_digest: str = ""
    """Digest of the packages' tree: it is locked, so plans know it before anything is fetched."""
    repository: str | None = None
    """The dataset repository of the hub that holds them; None if none does."""
    further: PackagedFiles | None = None
    """Other files of packages that the benchmark's scenes are made of: wherever assets come from, the digest knows
    them."""
    foreign: frozenset[str] = frozenset()
    """Shell patterns of files that some trees hold for other benchmarks: they do not count."""

    def pin(self, source: str) -> str:
        """A source that cannot move: "hub" and "hub@REVISION" with the commit they stand for, any other as it is.

        Raises:
            UserError: the hub has to be asked for the commit and cannot be reached.
        """
        revision = hub_revision(source)
        return source if revision is None else f"hub@{resolve_commit(self._hub(), revision, 'dataset')}"

    def digest(self, source: str, cache: Path | None = None, setting: str = SETTING) -> str:
        """16 hex digits over the paths and contents of a source's files: equal for equal files, wherever they lie.

        ``cache`` as in ``folder_digest``, ``setting`` as in :meth:`folder`.

        Raises:
            UserError: as :meth:`folder` and :meth:`pin`.
        """
        if source == PACKAGE and self.package is not None:
            return self.package_digest
        return self._content(self.folder(source, setting), cache)

    def folder(self, source: str, setting: str = SETTING) -> Path:
        """The folder of a source, fetched if it must be.

        ``setting`` is what the user named it by, for the message: a study's key, an option, a variable.

        Raises:
            UserError: the folder is missing or is no tree of these assets, or the registry or the hub cannot be
                reached.
        """
        commit = hub_revision(self.pin(source))
        if commit is not None:
            folder = fetch(self._hub(), commit, "dataset", instead=self._instead(setting, "hub"))
        elif source == PACKAGE and self.package is not None:
            folder = self.package.folder(self._instead(setting, PACKAGE))
        else:
            folder = Path(source).expanduser().resolve()
        if not folder.is_dir():
            raise UserError(
                f"the {self.benchmark} asset folder {folder} does not exist: {self._instead(setting, 'folder')}"
            )
        missing = [name for name in self.folders if not (folder / name).is_dir()]
        if missing:
            raise UserError(
                f"{folder} is no {self.benchmark} asset folder, it lacks {', '.join(missing)}: set {setting} to the "
                f"folder that holds {self.benchmark}'s scenes and objects, or {self._instead(setting, 'folder')}"
            )
        return folder

    def open(self, source: str, digest: str) -> Path:
        """The folder of a source whose content was ``digest`` when its use was planned.

        Raises:
            UserError: its content is another one by now; otherwise as :meth:`folder`.
        """
        folder = self.folder(source)
        packages = self.package if source == PACKAGE else None
        found = self._content(folder, None if packages is None else cache_folder() / DIGESTS)
        if self.further is not None:
            self.further.require_unchanged("leave its suites out")
        if found != digest and packages is not None:
            raise packages.changed(found, digest)
        if found != digest:
            raise UserError(
                f"the content of the {self.benchmark} asset folder {folder} is {found}, but it was {digest} when this "
                "was planned: run it again, which plans it anew, or put back the files that it had"
            )
        return folder

    def take_from(self, cache: Path, source: str) -> bool:
        """Take what packages bring over from another cache, as far as it lacks here and is whole there; whether any
        was taken."""
        taken = False
        if self.package is not None and source == PACKAGE:
            taken |= self.package.take_from(cache, lambda place: self._content(place, None) == self.package_digest)
        if self.further is not None:
            tree = self.further.tree
            taken |= self.further.take_from(cache, lambda place: folder_digest(place) == tree)
        return taken

    def is_own(self, digest: str) -> bool:
        """Whether this content is the benchmark's own: published rates are made with no other."""
        return digest == self.package_digest

    def _content(self, folder: Path, cache: Path | None) -> str:
        digest = folder_digest(folder, exclude=self.foreign, cache=cache)
        return digest if self.further is None else digest_of([digest, self.further.content])

    def _hub(self) -> str:
        if self.repository is None:
            raise UserError(f"{self.benchmark}'s assets are not on the hub: {self._instead(SETTING, 'hub')}")
        return self.repository

    def _instead(self, setting: str, source: str) -> str:
        """Where else these assets can be had, as an order: "set simulator.assets to hub or to a folder's path"."""
        others = [PACKAGE] if self.package is not None else []
        others += ["hub"] if self.repository is not None else []
        words = [word for word in others if word != source]
        places = [*words, *(["a folder's path"] if source != "folder" else [])]
        return f"set {setting} to {' or to '.join(places) or 'a folder that exists'}"


def hub_revision(source: str) -> str | None:
    """The revision that "hub" or "hub@REVISION" asks for; None for any other source."""
    name, _, revision = source.partition("@")
    return (revision or "main") if name == "hub" else None


def asset_tree(suite: str) -> AssetTree | None:
    """Where a suite's assets can come from; None for a suite that needs none, UserError if there is no such suite."""
    reference = SUITES[suite].asset_tree
    tree: AssetTree | None = None if reference is None else reference.load()
    return tree
