"""The library as it is, on a far file server and a virtual clock: what it calls of Python's library is led there."""

from __future__ import annotations

import fcntl
import io
import os
import random
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from support.far_files import EPOCH, FIRST_HANDLE, ROOT, Server
from support.virtual_time import Clock, Event, Thread

from world_modality.store import leases

Calls = Iterator[tuple[Any, str, Callable[..., Any]]]


@contextmanager
def mounted(server: Server, seed: int = 0) -> Iterator[None]:
    """Within, paths below ``ROOT`` are the server's, and for tasks of its clock time is virtual.

    Every machine of the clock is one of its own for leases, too. Names that are drawn at random depend on ``seed``.
    """
    with ExitStack() as stack:
        for module, name, call in (*_of_files(server), *_of_time(server.clock, seed)):
            stack.enter_context(patch.object(module, name, call))
        yield


def _of_files(server: Server) -> Calls:
    """Calls that name a path or a handle, and go to the server if it is one of its own."""
    by_path: dict[Any, dict[str, Callable[..., Any]]] = {
        os: {
            **{name: getattr(server, name) for name in ("stat", "mkdir", "rmdir", "unlink", "link", "readlink")},
            **{name: getattr(server, name) for name in ("rename", "utime", "scandir", "listdir")},
            **{"lstat": server.stat, "replace": server.rename, "open": server.open_handle},
        },
        io: {"open": server.open},
        shutil: {"rmtree": server.rmtree},
    }
    for module, calls in by_path.items():
        for name, call in calls.items():
            yield module, name, _routed(getattr(module, name), call, _place_of)
    for name, call in (("close", server.close_handle), ("fsync", server.fsync), ("fstat", server.fstat)):
        yield os, name, _routed(getattr(os, name), call, _handle_of)

    real_symlink, real_temporary, real_flock = os.symlink, tempfile.TemporaryFile, fcntl.flock

    def symlink(target: Any, path: Any, *given: Any, **named: Any) -> None:
        ours = _place_of(path) is not None
        (server.symlink(target, path) if ours else real_symlink(target, path, *given, **named))

    def temporary(*given: Any, **named: Any) -> Any:
        folder = _place_of(named.get("dir"))
        return real_temporary(*given, **named) if folder is None else server.temporary(folder)

    def flock(handle: Any, operation: int) -> None:
        if _handle_of(handle) is None:
            real_flock(handle, operation)
        else:
            server.flock(handle, bool(operation & fcntl.LOCK_EX), not operation & fcntl.LOCK_NB)

    yield os, "symlink", symlink
    yield tempfile, "TemporaryFile", temporary
    yield fcntl, "flock", flock


def _of_time(clock: Clock, seed: int) -> Calls:
    """Calls that are another's wherever a task of the clock makes them."""
    draw = random.Random(seed).getrandbits
    for module, name, ours in (
        (time, "monotonic", lambda: clock.now),
        (time, "time", lambda: EPOCH + clock.now),
        (time, "sleep", clock.sleep),
        (threading, "Thread", lambda target, args=(), daemon=None: Thread(clock, target, args)),
        (threading, "Event", lambda: Event(clock)),
        (uuid, "uuid4", lambda: uuid.UUID(int=draw(128), version=4)),
        (leases, "place", lambda: clock.machine.name),
        (leases, "started", lambda _pid: clock.machine.name),
    ):
        yield module, name, _inside(clock, getattr(module, name), ours)


def _inside(clock: Clock, real: Callable[..., Any], ours: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given, **named: (ours if clock.inside else real)(*given, **named)


def _routed(real: Callable[..., Any], ours: Callable[..., Any], known: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(first: Any = ".", *given: Any, **named: Any) -> Any:
        place = known(first)
        return real(first, *given, **named) if place is None else ours(place, *given, **named)

    return call


def _place_of(path: Any) -> str | None:
    """A path of the server's as text, None for any other."""
    if type(path) is not str:
        path = path.__fspath__() if hasattr(path, "__fspath__") else None
    return path if isinstance(path, str) and path.startswith(ROOT) else None


def _handle_of(handle: Any) -> int | None:
    return handle if type(handle) is int and handle >= FIRST_HANDLE else None
