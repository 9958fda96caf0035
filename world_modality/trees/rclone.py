"""Whatever rclone can reach as a remote: ``name:path``, where the name is one of its own configuration.

Few of its services can create a file only if it is not there, so trees copy through it and do not share a study.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from world_modality.trees.programs import call, names_given, require_program, seal_by_parts, writing_below
from world_modality.trees.remote import Item, Told

_FROM = "--files-from-raw"


class RcloneRemote:
    """See :class:`~world_modality.trees.remote.Remote`."""

    def __init__(self, name: str) -> None:
        self._program = require_program("rclone", name)
        self.title, self._place = name, name.rstrip("/")

    def files(self, prefix: str) -> dict[str, int]:
        """See Remote."""
        base = prefix.rstrip("/")
        options = ("lsjson", "--recursive", "--files-only", "--no-modtime", "--no-mimetype", "--skip-links")
        printed = call(self.title, self._command(*options, self._at(base)), absent=_is_absent)
        entries = json.loads(printed or b"[]")
        return {f"{base}/{each['Path']}" if base else each["Path"]: each["Size"] for each in entries}

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        return call(self.title, self._command("cat", self._at(name)), absent=_is_absent) or None

    def write(self, name: str, data: bytes) -> None:
        """See Remote."""
        call(self.title, self._command("rcat", self._at(name)), data)

    def delete(self, names: Collection[str]) -> None:
        """See Remote."""
        if names:
            command = self._command("delete", _FROM, "-", self._place)
            call(self.title, command, names_given(sorted(names)), absent=_is_absent)

    def put(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote."""
        self._copy(str(base), self._place, items, "--copy-links")
        told(sum(item.size for item in items))

    def get(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote."""
        with writing_below(base):
            self._copy(self._place, str(base), items, "--skip-links")
        told(sum(item.size for item in items))

    def seal(self, root: Path, stage: str, key: str, items: Sequence[Item], data: bytes, told: Told) -> bool:
        """See Remote."""
        return seal_by_parts(self, root, stage, key, items, data, told)

    def _copy(self, source: str, target: str, items: Sequence[Item], *options: str) -> None:
        """rclone reads its list of names in the end, so it is a file."""
        if not items:
            return
        with tempfile.NamedTemporaryFile() as listed:
            listed.write(names_given([item.name for item in items]))
            listed.flush()
            command = self._command("copy", "--no-traverse", *options, _FROM, listed.name, source, target)
            call(self.title, command)

    def _command(self, *arguments: str) -> list[str]:
        return [self._program, "--quiet", *arguments]

    def _at(self, name: str) -> str:
        if not name:
            return self._place
        return f"{self._place}{name}" if self._place.endswith(":") else f"{self._place}/{name}"


def _is_absent(status: int, _said: str) -> bool:
    """Folder, or file, not found."""
    return status in (3, 4)
