"""A folder of another machine as a remote, by rsync over ssh: ``user@host:path`` or ``rsync://host/module/path``.

rsync cannot create a file only if it is not there, so trees copy through it and do not share a study.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from world_modality.trees.programs import Absent, call, names_given, require_program, seal_by_parts, writing_below
from world_modality.trees.remote import Item, Told

_LISTED = re.compile(r"-\S+\s+([\d,.]+)\s+\S+\s+\S+\s(.+)")
_PARTIAL = 23  # exit status: not all was transferred, for whatever reason
_FAILED = re.compile(r'rsync: .*?"(?P<path>.+)".* failed: (?P<why>.+) \(\d+\)')
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
        printed = call(self.title, command, absent=_absent(base))
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
            printed = call(self.title, [*self._command(), self._at(name), str(target)], absent=_absent(name))
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
                command = [*self._command(*options), f"{empty}/", self._at(folder) + "/"]
                call(self.title, command, absent=_absent(folder))

    def put(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote."""
        self._copy(f"{base}/", self._at("") + "/", [item.name for item in items], "--copy-links")
        told(sum(item.size for item in items))

    def get(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote. Links are left out, so nothing leads out of the remote."""
        with writing_below(base):
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


def _absent(name: str) -> Absent:
    """Whether rsync failed because ``name``, or the folder that it lies in, is not there, and because of nothing else.

    Of a file whose folder is missing it tells the folder, and of any it tells the path as the other machine sees it.
    """
    ends = tuple(f"/{each}" for each in (name, name.rpartition("/")[0]) if each) if "/" in name else ("",)

    def is_absence(failed: re.Match[str]) -> bool:
        path = failed["path"].removesuffix("/.").rstrip("/")
        return failed["why"] == "No such file or directory" and path.endswith(ends)

    def absent(status: int, said: str) -> bool:
        failures = [match for line in said.splitlines() if (match := _FAILED.fullmatch(line.strip()))]
        return status == _PARTIAL and bool(failures) and all(map(is_absence, failures))

    return absent
