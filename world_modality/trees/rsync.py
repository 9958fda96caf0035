"""A folder of another machine as a remote, by rsync over ssh: ``user@host:path`` or ``rsync://host/module/path``.

rsync cannot create a file only if it is not there, so trees copy through it and do not share a study.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from world_modality.trees.programs import call, names_given, require_program, seal_by_parts
from world_modality.trees.remote import Item, Told

_LISTED = re.compile(r"-\S+\s+([\d,.]+)\s+\S+\s+\S+\s(.+)")
_ABSENT = (23,)  # "partial transfer": what was asked for is not there
COPYING = ("--times", "--no-links", "--no-devices", "-s", "--partial-dir=.rsync-partial")


class RsyncRemote:
    """See :class:`~world_modality.trees.remote.Remote`. rsync renames each file when it is whole."""

    def __init__(self, name: str) -> None:
        self._program = require_program("rsync", name)
        self.title, self._place = name, name.rstrip("/")

    def files(self, prefix: str) -> dict[str, int]:
        """See Remote."""
        base = prefix.rstrip("/")
        command = [*self._command("--recursive", "--list-only", "--no-human-readable"), self._at(base) + "/"]
        printed = call(self.title, command, missing=_ABSENT)
        found: dict[str, int] = {}
        for line in (printed or b"").decode(errors="surrogateescape").splitlines():
            if match := _LISTED.fullmatch(line):
                name = f"{base}/{match[2]}" if base else match[2]
                found[name] = int(match[1].replace(",", ""))
        return found

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "file")
            printed = call(self.title, [*self._command(), self._at(name), str(target)], missing=_ABSENT)
            return target.read_bytes() if printed is not None and target.is_file() else None

    def write(self, name: str, data: bytes) -> None:
        """See Remote."""
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder, name)
            draft.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(data)
            self._copy(f"{folder}/", self._at("") + "/", [name], "--ignore-times")

    def delete(self, names: Collection[str]) -> None:
        """See Remote. What is named and not in an empty folder goes; what is not named is protected."""
        folders: dict[str, list[str]] = defaultdict(list)
        for name in names:
            folder, _, last = name.rpartition("/")
            folders[folder].append(last)
        with tempfile.TemporaryDirectory() as empty:
            for folder, files in folders.items():
                chosen = [f"--include=/{each}" for each in files]
                options = ("--dirs", "--delete", *chosen, "--exclude=*")
                call(self.title, [*self._command(*options), f"{empty}/", self._at(folder) + "/"], missing=_ABSENT)

    def put(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote."""
        self._copy(f"{base}/", self._at("") + "/", [item.name for item in items], "--copy-links")
        told(sum(item.size for item in items))

    def get(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote. Links are left out, so nothing leads out of the remote."""
        base.mkdir(parents=True, exist_ok=True)
        self._copy(self._at("") + "/", f"{base}/", [item.name for item in items], "--no-implied-dirs")
        told(sum(item.size for item in items))

    def seal(self, root: Path, stage: str, key: str, items: Sequence[Item], data: bytes, told: Told) -> bool:
        """See Remote."""
        return seal_by_parts(self, root, stage, key, items, data, told)

    def _copy(self, source: str, target: str, names: Sequence[str], *options: str) -> None:
        if names:
            command = [*self._command("--mkpath", "--files-from=-", *options), source, target]
            call(self.title, command, names_given(names))

    def _command(self, *options: str) -> list[str]:
        return [self._program, *COPYING, *options]

    def _at(self, name: str) -> str:
        return f"{self._place}/{name}" if name else self._place
