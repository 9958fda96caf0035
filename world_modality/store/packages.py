"""Packages of the registry that only bring files: fetched by name and hash into a cache, and never installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from world_modality.errors import UserError, in_one_line
from world_modality.store.files import file_digest, files_below, folder_digest, link_or_copy, new_folder, sync_tree
from world_modality.store.lock import exclusive
from world_modality.store.progress import Progress

CACHE_VARIABLE = "WM_CACHE"
DIGESTS = "digests.json"
"""Where digests of the cache's folders are remembered."""
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")


def cache_folder() -> Path:
    """Where files that can be fetched again are kept for all studies: ``$WM_CACHE``, or the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "world_modality"


@dataclass(frozen=True)
class PackagedFiles:
    """Files that one or several packages bring together."""

    what: str
    """What they are, for people."""
    lock: Path
    """``NAME==VERSION --hash=sha256:...`` per line: exactly these packages, with exactly these contents."""
    below: str
    """Folder in the packages in which the files lie."""
    megabytes: int
    """To fetch, for people."""
    terms: str
    """Licence and whom to credit; shown when they are fetched."""
    tree: str = ""
    """``folder_digest`` of the files, where nobody else knows what they must be."""

    @property
    def content(self) -> str:
        """16 hex digits that stand for the packages' content, which is locked."""
        return file_digest(self.lock)[:16]

    def folder(self, instead: str) -> Path:
        """Where the files lie, fetched as far as they lack: once, then no network is needed.

        Args:
            instead: what the user can do without the registry, for the message.

        Raises:
            UserError: a package cannot be had, its content is not the locked one, or the cache cannot be written.
        """
        target = self.kept
        if not (target / self.below).is_dir():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with exclusive(target.with_name(f"{target.name}.lock"), self._say_waiting):
                    if not (target / self.below).is_dir():
                        shutil.rmtree(target, ignore_errors=True)  # somebody removed a part of it
                        self._fetch(target, instead)
            except OSError as error:
                raise UserError(
                    f"{self.what} cannot be kept in {target} ({error.strerror}): set {CACHE_VARIABLE} to a folder that "
                    f"can be written and has {2 * self.megabytes} MB free"
                ) from error
        return target / self.below

    @property
    def kept(self) -> Path:
        """The folder of the cache that is theirs."""
        return self._kept_in(cache_folder())

    def _kept_in(self, cache: Path) -> Path:
        return cache / "packages" / f"{self.lock.stem}-{self.content}"

    def take_from(self, cache: Path, is_whole: Callable[[Path], bool]) -> bool:
        """Take them over from another cache, unless they are here; False if it has none that ``is_whole``.

        OSError if they cannot be kept.
        """
        target, source = self.kept, self._kept_in(cache)
        if (target / self.below).is_dir() or not (source / self.below).is_dir() or not is_whole(source / self.below):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target.with_name(f"{target.name}.lock"), self._say_waiting):
            if (target / self.below).is_dir():
                return False
            shutil.rmtree(target, ignore_errors=True)  # somebody removed a part of it
            with new_folder(target) as draft:
                for name, file in files_below(source):
                    link_or_copy(file, draft / name)
        return True

    def require_unchanged(self, instead: str) -> None:
        """UserError unless the files are those that the packages brought, fetched as far as they lack."""
        found = folder_digest(self.folder(instead), cache=cache_folder() / DIGESTS)
        if found != self.tree:
            raise self.changed(found, self.tree)

    def changed(self, found: str, wanted: str) -> UserError:
        """That the files are others by now, and the way out."""
        return UserError(
            f"the files in {self.kept} are not those that the packages brought ({found}, not {wanted}): remove that "
            "folder, and they are fetched anew"
        )

    def _say_waiting(self) -> None:
        Progress(self.what).say(f"{self.what}  waits: another process fetches them")

    def _fetch(self, target: Path, instead: str) -> None:
        """Package by package, so that what an interrupted attempt had is kept; ``target`` appears when it is whole."""
        for leftover in target.parent.glob(f".{target.name}.*.part"):  # of whoever was killed here
            shutil.rmtree(leftover, ignore_errors=True)
        progress = Progress(self.what, every=0.0)
        progress.say(f"{self.what}  {self.megabytes} MB from the package registry, once; {self.terms}")
        parts, wanted = target.with_name(f"{target.name}.parts"), tuple(requirements(self.lock))
        for number, (name, requirement) in enumerate(wanted):
            progress.update(number, len(wanted), "packages", name)
            if not (parts / name).is_dir():
                with new_folder(parts / name) as draft:
                    self._unpack(requirement, draft, instead)
        with new_folder(target) as draft:
            for name, _ in wanted:
                for relative, file in files_below(parts / name):
                    link_or_copy(file, draft / relative)
            if not (draft / self.below).is_dir():
                raise UserError(f"the packages of {self.lock} have no {self.below}: take the lock of this release")
            sync_tree(draft)
        shutil.rmtree(parts)
        progress.update(len(wanted), len(wanted), "packages", f"in {target}")

    def _unpack(self, requirement: str, draft: Path, instead: str) -> None:
        from uv import find_uv_bin

        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(requirement)
            file.flush()
            flags = ("--no-deps", "--require-hashes", "--no-config", "--link-mode", "copy", "--quiet")
            command = [find_uv_bin(), "pip", "install", "--python", sys.executable, *flags]
            command += ["--target", str(draft), "--requirements", file.name]
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise UserError(
                f"{self.what} cannot be had from the package registry ({in_one_line(done.stderr)}): check the network, "
                f"or {instead}"
            )


def requirements(lock: Path) -> Iterator[tuple[str, str]]:
    """(name, requirement) of every package that a lock names."""
    for line in lock.read_text().splitlines():
        found = _REQUIREMENT.fullmatch(line)
        if found:
            yield found["name"], line
