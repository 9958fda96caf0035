"""A file server that many machines share, far away in virtual time, and what each of them believes of it.

Real code sees it below :data:`ROOT` while :func:`mounted` lasts, by the same calls to ``os`` and ``io`` as any other
files. Modelled on NFS: whatever goes to the server takes its time and is counted; links, exclusive creation, renames
and locks are atomic there; an opened file is read as it is then. Attributes, listings and the absence of files are
believed for ``stale_s`` seconds after they were seen, unless the machine itself has changed the folder since.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from support.virtual_time import Clock, Machine, Task

ROOT = "/simulated"
EPOCH = 1_800_000_000.0  # of the server's clock
LISTED_AT_ONCE = 100  # names in an answer
FIRST_HANDLE = 1_000_000  # real ones are smaller
LOST_LOCKS_S = 90.0  # until the server takes the locks of a machine that is gone
BUCKET_S = 10  # of the record of how busy the server was
FULL = 1000  # folders that a machine knows of, before it forgets what is out of date


@dataclass(eq=False, slots=True)
class Node:
    """A file, a link or a folder."""

    number: int
    data: bytearray | None  # None: a folder or a link
    target: str | None = None  # of a link
    modified: float = 0.0
    locks: dict[int, bool] = field(default_factory=dict)  # handle -> whether nobody else may hold one
    queue: deque[tuple[int, bool, Task]] = field(default_factory=deque)


class Facts:
    """What ``os.stat`` tells."""

    __slots__ = ("st_mode", "st_mtime", "st_size")

    def __init__(self, node: Node) -> None:
        kind = stat.S_IFREG if node.data is not None else stat.S_IFDIR if node.target is None else stat.S_IFLNK
        self.st_mode = kind | 0o755
        self.st_size = len(node.data) if node.data is not None else 0
        self.st_mtime = EPOCH + node.modified


class Entry:
    """What ``os.scandir`` yields."""

    __slots__ = ("_mode", "name", "path")

    def __init__(self, folder: str, name: str, mode: int) -> None:
        self.name, self.path, self._mode = name, f"{folder}/{name}", mode

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISDIR(self._mode)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISREG(self._mode)

    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self._mode)

    def __fspath__(self) -> str:
        return self.path


class Listing:
    """An answer of ``os.scandir``."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[Entry]:
        return self._entries

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


class Server:
    """The files, and each operation on them; paths are texts below :data:`ROOT`."""

    def __init__(
        self,
        clock: Clock,
        *,
        latency_s: float = 0.02,
        stale_s: float = 30.0,
        most_per_s: float = float("inf"),
        seed: int = 0,
    ) -> None:
        self.clock, self._latency, self._stale, self._service = clock, latency_s, stale_s, 1 / most_per_s
        self._free_at = 0.0
        self._random = random.Random(seed).random
        self._nodes = 0
        self.folders: dict[str, dict[str, Node]] = {"": {ROOT[1:]: self._node(None)}, ROOT: {}}
        self._handles: dict[int, Handle] = {}
        self.operations: Counter[str] = Counter()
        self.busy: Counter[int] = Counter()  # operations by ``BUCKET_S``

    # what is asked of the server

    def stat(self, path: str, **_: Any) -> Facts:
        facts = self._look(path)
        if facts is None:
            raise _error(errno.ENOENT, path)
        return facts

    def mkdir(self, path: str, mode: int = 0o777, **_: Any) -> None:
        folder, name = _split(path)
        if self._believed(folder, name) is not None:
            raise _error(errno.EEXIST, path)
        self._ask("mkdir")
        entries = self._entries(folder)
        self._changed(folder)
        if name in entries:
            raise _error(errno.EEXIST, path)
        entries[name] = self._node(None)
        self.folders[path] = {}

    def rmdir(self, path: str, **_: Any) -> None:
        folder, name = _split(path)
        self._ask("rmdir")
        if self.folders.get(path, True):
            raise _error(errno.ENOTEMPTY if path in self.folders else errno.ENOENT, path)
        del self.folders[path], self._entries(folder)[name]
        self._changed(folder)

    def unlink(self, path: str, **_: Any) -> None:
        folder, name = _split(path)
        self._ask("remove")
        self._changed(folder)
        if self._entries(folder).pop(name, None) is None:
            raise _error(errno.ENOENT, path)

    def link(self, source: str, target: Any, **_: Any) -> None:
        folder, name = _split(os.fspath(target))
        self._ask("link")
        node = self._find(source)
        entries = self._entries(folder)
        self._changed(folder)
        if name in entries:
            raise _error(errno.EEXIST, target)
        entries[name] = node

    def symlink(self, target: str, path: Any, **_: Any) -> None:
        folder, name = _split(os.fspath(path))
        self._ask("symlink")
        entries = self._entries(folder)
        self._changed(folder)
        if name in entries:
            raise _error(errno.EEXIST, path)
        entries[name] = self._node(None, str(target))

    def readlink(self, path: str, **_: Any) -> str:
        self._ask("readlink")
        node = self._find(path)
        if node.target is None:
            raise _error(errno.EINVAL, path)
        return node.target

    def rename(self, source: str, target: Any, **_: Any) -> None:
        """A folder only to where nothing is."""
        target = os.fspath(target)
        (old, name), (new, other) = _split(source), _split(target)
        self._ask("rename")
        node = self._find(source)
        if source in self.folders:
            if self.folders.get(target, False):
                raise _error(errno.ENOTEMPTY, target)
            for each in [each for each in self.folders if each == source or each.startswith(f"{source}/")]:
                self.folders[target + each.removeprefix(source)] = self.folders.pop(each)
        self._entries(new)[other] = node
        del self._entries(old)[name]
        self._changed(old)
        self._changed(new)

    def utime(self, path: str, times: tuple[float, float] | None = None, **_: Any) -> None:
        self._ask("touch")
        node = self._find(path)
        if self.clock.machine.deaf_until > self.clock.now:
            return  # lost on the way, and nobody is told
        node.modified = self.clock.now if times is None else times[1] - EPOCH
        self._forget(path)

    def scandir(self, path: str) -> Listing:
        known = self._known(path).get("")
        if known is None or known[0] <= self.clock.now:
            self._ask("list")
            names = [(name, Facts(node).st_mode) for name, node in self._entries(path).items()]
            for _ in range(len(names) // LISTED_AT_ONCE):
                self._ask("list")
            known = self.clock.now + self._stale, names
            self._known(path)[""] = known
        return Listing(Entry(path, name, mode) for name, mode in known[1])

    def listdir(self, path: str) -> list[str]:
        return [entry.name for entry in self.scandir(path)]

    def rmtree(self, path: str, ignore_errors: bool = False, **_: Any) -> None:
        """``shutil.rmtree``."""
        try:
            for entry in self.scandir(path):
                if entry.is_dir():
                    self.rmtree(entry.path, ignore_errors)
                else:
                    self.unlink(entry.path)
            self.rmdir(path)
        except OSError:
            if not ignore_errors:
                raise

    def open(self, path: str, mode: str = "r", *_: Any, **__: Any) -> Handle:
        """``io.open``."""
        folder, name = _split(path)
        if mode[0] == "r":
            known = self._known(folder).get(name)
            if known is not None and known[1] is None and known[0] > self.clock.now:
                raise _error(errno.ENOENT, path)  # believed not to be there
            self._ask("open")
            node = self._entries(folder, or_none=True).get(name)
            if node is None:
                self._known(folder)[name] = self.clock.now + self._stale, None
                raise _error(errno.ENOENT, path)
        else:
            node = self._create(path, "x" in mode)
            if mode[0] == "w":
                assert node.data is not None
                node.data.clear()
        return Handle(self, node, path, mode)

    def open_handle(self, path: str, flags: int, *_: Any, **__: Any) -> int:
        """``os.open``."""
        if path in self.folders:
            self._ask("open")
            return Handle(self, self._find(path), path, "r").fileno()
        if flags & os.O_CREAT:
            return Handle(self, self._create(path, bool(flags & os.O_EXCL)), path, "rb").fileno()
        return self.open(path, "rb").fileno()

    def temporary(self, folder: str) -> Handle:
        """``tempfile.TemporaryFile``: a file that is removed as soon as it is made."""
        for operation in ("open", "remove"):
            self._ask(operation)
        self._changed(folder)
        return Handle(self, self._node(bytearray()), f"{folder}/", "wb")

    def flock(self, handle: int, exclusive: bool, waits: bool) -> None:
        node = self._handles[handle].node
        self._ask("lock")
        if any(held or exclusive for other, held in node.locks.items() if other != handle):
            if not waits:
                raise BlockingIOError(errno.EWOULDBLOCK, "locked")
            node.queue.append((handle, exclusive, self.clock.task))
            while handle not in node.locks:
                self.clock.park()
            return
        node.locks[handle] = exclusive

    def close_handle(self, number: int) -> None:
        """``os.close``."""
        handle = self._handles[number]
        if number in handle.node.locks:
            self._ask("unlock")
            self._unlock(handle.node, number)
        handle.close()

    def fsync(self, number: int) -> None:
        self._handles[number].flush()
        self._ask("commit")

    def fstat(self, number: int) -> Facts:
        return Facts(self._handles[number].node)

    # for whoever watches

    def content(self, path: str) -> bytes | None:
        """What is in a file, without asking; None if there is none."""
        folder, name = _split(path)
        node = self.folders.get(folder, {}).get(name)
        return None if node is None or node.data is None else bytes(node.data)

    def put(self, path: str, content: bytes) -> None:
        """Have a file there from the beginning."""
        folder, name = _split(path)
        parts = folder.split("/")
        for end in range(2, len(parts) + 1):
            parent, here = "/".join(parts[: end - 1]), "/".join(parts[:end])
            if here not in self.folders:
                self.folders[parent][parts[end - 1]] = self._node(None)
                self.folders[here] = {}
        self.folders[folder][name] = self._node(bytearray(content))

    def forget(self, machine: Machine) -> None:
        """Take the locks of a machine that is gone."""
        for number, handle in list(self._handles.items()):
            if handle.machine is machine:
                self._unlock(handle.node, number)
                self._handles.pop(number, None)

    # parts

    def _ask(self, operation: str) -> None:
        """Wait for the server's answer."""
        clock = self.clock
        now = clock.now
        self.operations[operation] += 1
        self.busy[int(now) // BUCKET_S] += 1
        start = now if now > self._free_at else self._free_at
        self._free_at = start + self._service
        clock.sleep(start - now + self._latency * (0.5 + self._random()))

    def _look(self, path: str) -> Facts | None:
        folder, name = _split(path)
        known = self._known(folder).get(name)
        if known is not None and known[0] > self.clock.now:
            return known[1]  # type: ignore[no-any-return]
        self._ask("stat")
        node = self.folders.get(folder, {}).get(name)
        facts = None if node is None else Facts(node)
        self._known(folder)[name] = self.clock.now + self._stale, facts
        return facts

    def _believed(self, folder: str, name: str) -> Facts | None:
        known = self._known(folder).get(name)
        return known[1] if known is not None and known[0] > self.clock.now else None

    def _known(self, folder: str) -> dict[str, tuple[float, Any]]:
        known = self.clock.machine.known
        if len(known) > FULL and folder not in known:
            now = self.clock.now
            kept = {each: facts for each, facts in known.items() if any(expires > now for expires, _ in facts.values())}
            known.clear()
            known.update(kept if len(kept) < FULL else {})
        return known.setdefault(folder, {})

    def _changed(self, folder: str) -> None:
        """This machine changed a folder, and is told its new version: what it knew of it is looked up again."""
        self.clock.machine.known.pop(folder, None)

    def _forget(self, path: str) -> None:
        folder, name = _split(path)
        self._known(folder).pop(name, None)

    def _entries(self, folder: str, *, or_none: bool = False) -> dict[str, Node]:
        entries = self.folders.get(folder)
        if entries is None:
            if or_none:
                return {}
            raise _error(errno.ENOENT, folder)
        return entries

    def _find(self, path: str) -> Node:
        folder, name = _split(path)
        node = self.folders.get(folder, {}).get(name)
        if node is None:
            raise _error(errno.ENOENT, path)
        return node

    def _create(self, path: str, exclusive: bool) -> Node:
        folder, name = _split(path)
        self._ask("open")
        entries = self._entries(folder)
        node = entries.get(name)
        if node is None:
            node = entries[name] = self._node(bytearray())
            self._changed(folder)
        elif exclusive:
            raise _error(errno.EEXIST, path)
        return node

    def _node(self, data: bytearray | None, target: str | None = None) -> Node:
        self._nodes += 1
        return Node(self._nodes, data, target, self.clock.now)

    def _unlock(self, node: Node, number: int) -> None:
        node.locks.pop(number, None)
        node.queue = deque(each for each in node.queue if each[0] != number)
        while node.queue and not any(held or node.queue[0][1] for held in node.locks.values()):
            waiting, exclusive, task = node.queue.popleft()
            node.locks[waiting] = exclusive
            self.clock.wake(task)

    def register(self, handle: Handle) -> int:
        self._nodes += 1
        self._handles[FIRST_HANDLE + self._nodes] = handle
        return FIRST_HANDLE + self._nodes

    def unregister(self, number: int) -> None:
        self._handles.pop(number, None)


class Handle:
    """An open file, for text or bytes."""

    def __init__(self, server: Server, node: Node, path: str, mode: str) -> None:
        self._server, self.node, self._path = server, node, path
        self._text, self._at, self._writes = "b" not in mode, 0, mode[0] != "r"
        self._pending: list[bytes] = []
        self._number: int | None = None
        self.machine = server.clock.machine

    def fileno(self) -> int:
        if self._number is None:
            self._number = self._server.register(self)
        return self._number

    def write(self, content: Any) -> int:
        self._pending.append(content.encode() if isinstance(content, str) else bytes(content))
        return len(content)

    def flush(self) -> None:
        if self._pending:
            self._server._ask("write")
            assert self.node.data is not None
            for content in self._pending:
                self.node.data += content
            self.node.modified = self._server.clock.now
            self._pending.clear()
            self._server._forget(self._path)

    def read(self, *_: Any) -> Any:
        data = self.node.data
        assert data is not None
        if self._at >= len(data):
            return "" if self._text else b""
        self._server._ask("read")
        content = bytes(data[self._at :])
        self._at += len(content)
        return content.decode(errors="replace") if self._text else content

    def getbuffer(self) -> bytes:
        """All of it, as ``hashlib.file_digest`` asks for."""
        content: bytes = self.read()
        return content

    def seek(self, at: int) -> None:
        self._at = at

    def tell(self) -> int:
        return len(self.node.data or b"") if self._writes else self._at

    def close(self) -> None:
        self.flush()
        if self._number is not None:
            self._server.unregister(self._number)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _error(number: int, path: object) -> OSError:
    return OSError(number, os.strerror(number), str(path))  # the subclass that belongs to the number
