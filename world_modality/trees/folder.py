"""A folder as a remote, often one that is mounted from elsewhere. It is a results tree itself."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.done import DoneFile
from world_modality.store.files import sync_folder, write_atomically
from world_modality.store.layout import StageFolder, incoming_folder
from world_modality.store.lock import exclusive
from world_modality.trees.arrival import Busy, draft_folder, install, require_whole
from world_modality.trees.copying import go_on_copying, part_of
from world_modality.trees.identity import tree_name
from world_modality.trees.names import CLAIMS
from world_modality.trees.remote import Item, Refused, RemoteError, Told, keeps_what_is_there

OWN = ("incoming", "outgoing", "by-name")
"""Folders of a results tree in which no other tree looks for anything."""
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a file system answers that has no hard links."""


class FolderRemote:
    """See :class:`~world_modality.trees.remote.SharedRemote`. A stage arrives as in any results tree, by renames."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise UserError(f"there is no folder {path}: make it first (one that is not mounted looks like that, too)")
        self.title, self._root = str(path), path.resolve()
        self._swaps = self._root / CLAIMS / ".lock"  # of whoever swaps a file

    def files(self, prefix: str) -> dict[str, int]:
        """See Remote."""
        with self._failing():
            return dict(self._below(self._root / prefix))

    def _below(self, folder: Path) -> Iterator[tuple[str, int]]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # renamed or removed just now
            for entry in os.scandir(folder):
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    if path.parent != self._root or entry.name not in OWN:
                        yield from self._below(path)
                    continue
                if path == self._swaps:
                    continue
                with contextlib.suppress(FileNotFoundError, Refused):
                    status = self._inside(path).stat() if entry.is_symlink() else entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        yield path.relative_to(self._root).as_posix(), status.st_size

    def read(self, name: str) -> bytes | None:
        """See Remote."""
        with self._failing():
            try:
                return self._inside(self._root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, name: str, data: bytes) -> None:
        """See Remote."""
        with self._failing():
            write_atomically(self._root / name, data)

    def create(self, name: str, data: bytes) -> bool:
        """See Remote."""
        path = self._root / name
        with self._failing(), _draft(path, data) as draft:
            try:
                os.link(draft, path)
            except FileExistsError:  # over a network the answer to a first try may be lost
                return self.read(name) == data
            return True

    def swap(self, name: str, old: bytes, new: bytes) -> bool:
        """See Remote."""
        path = self._root / name
        with self._failing():
            if old == new:
                return self._touched(name, old)
            with exclusive(self._swaps, lambda: None), _draft(path, new) as draft:
                if self.read(name) != old:
                    return False
                draft.replace(path)
                return True

    def is_exclusive(self, name: str) -> bool:
        """See Remote."""
        try:
            return keeps_what_is_there(self, name)
        except RemoteError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_LINKS:
                return False
            raise

    def _touched(self, name: str, content: bytes) -> bool:
        """Touch what holds ``content``. Should another replace it just then, its own age is a moment younger."""
        if self.read(name) != content:
            return False
        try:
            os.utime(self._root / name)
        except FileNotFoundError:
            return False
        return True

    def age(self, name: str) -> float | None:
        """See Remote."""
        path = self._root / name
        with self._failing():
            try:
                written = path.stat().st_mtime
            except FileNotFoundError:
                return None
            with tempfile.TemporaryFile(dir=path.parent) as now:
                return os.fstat(now.fileno()).st_mtime - written

    def delete(self, names: Collection[str]) -> None:
        """See Remote; folders that this empties go, too."""
        with self._failing():
            for name in names:
                (self._root / name).unlink(missing_ok=True)
            for folder in {(self._root / name).parent for name in names}:
                with contextlib.suppress(OSError):  # something else lies there
                    folder.rmdir()

    def put(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote."""
        self._require_there()
        for item in items:
            go_on_copying(base / item.name, self._root / item.name, item.size, told, writing=self._telling)

    def get(self, base: Path, items: Sequence[Item], told: Told) -> None:
        """See Remote."""
        self._require_there()
        for item in items:
            with self._telling():
                source = self._inside(self._root / item.name)
            go_on_copying(source, base / item.name, item.size, told, reading=self._telling)

    def seal(self, root: Path, stage: str, key: str, items: Sequence[Item], data: bytes, told: Told) -> bool:
        """See Remote. A stage that is being made in the folder is left to whoever makes it."""
        tree = tree_name(root)
        drafts, draft = incoming_folder(self._root, tree), draft_folder(self._root, tree, stage, key)
        with self._failing():
            begun = draft.path.exists()
            for item in items if begun else ():
                if not item.sha256:  # nobody could tell it from what an earlier copy left
                    (drafts / item.name).unlink(missing_ok=True)
                    part_of(drafts / item.name).unlink(missing_ok=True)
        self._copy_in(root, drafts, items, told)
        record = DoneFile.model_validate_json(data)
        with self._failing():
            stale = begun and not self._is_whole(draft, record)
        if stale:  # the draft was of what the stage was before it was made anew
            self._copy_in(root, drafts, items, told)
        with self._failing():
            if stale:
                require_whole(draft, record, self.title)
            try:
                return install(self._root, draft, stage, key, data)
            except Busy:
                raise RemoteError(f"{self.title}: {stage}/{key} is being made there at this moment") from None

    def _copy_in(self, root: Path, drafts: Path, items: Sequence[Item], told: Told) -> None:
        for item in items:
            go_on_copying(root / item.name, drafts / item.name, item.size, told, writing=self._telling)

    def _is_whole(self, draft: StageFolder, record: DoneFile) -> bool:
        """Whether a draft holds what was sealed; what it holds otherwise goes."""
        try:
            require_whole(draft, record, self.title)
        except Refused:
            return False
        return True

    def _inside(self, path: Path) -> Path:
        """A file's path, all links followed; Refused if they lead out of the remote."""
        real = path.resolve()
        if not real.is_relative_to(self._root):
            raise Refused(f"{path} leads out of {self.title}, so it is not taken: put the file itself there")
        return real

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Tell what the file system says, as a failure of the remote."""
        self._require_there()
        with self._telling():
            yield

    def _require_there(self) -> None:
        if not self._root.is_dir():
            raise RemoteError(f"{self.title} is not there any more")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            raise RemoteError(f"{self.title}: {error.strerror or error}{place}") from error


@contextmanager
def _draft(path: Path, data: bytes) -> Iterator[Path]:
    """A file beside ``path`` that holds ``data``, gone at the end of the block if it was not renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    draft.write_bytes(data)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)
        sync_folder(path.parent)
