"""One run per results tree, also when several machines share it.

Whoever runs a study holds a kernel lock on ``results/run.lock`` until the process ends, however it ends. The file says
who: host and process. Some network file systems keep such locks on the machine that took them, so the lock alone
cannot be trusted when the file names another host: its holder therefore touches the file every ``BEAT_S`` seconds, and
a note of another host counts as long as it is younger than ``SILENCE_S``. A holder that ends orderly removes its note.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from world_modality.errors import UserError
from world_modality.store.layout import run_lock_file
from world_modality.store.lock import is_locked, take

HANDLE_VARIABLE = "WORLD_MODALITY_RUN_LOCK"
"""Environment variable with the number of an inherited handle that holds the lock."""
BEAT_S = 15.0
SILENCE_S = 120.0


@contextmanager
def run_lock(root: Path) -> Iterator[int]:
    """Hold the results tree; yields the handle, for a child that is to hold it too (``pass_fds``).

    Raises:
        UserError: another run holds it, or did on another host until a moment ago, or nobody can hold it there.
    """
    path = run_lock_file(root)
    handle = _acquire(path)
    ended = threading.Event()
    try:
        _sign(handle)
        _beat(path, ended)
        yield handle
    finally:
        ended.set()
        os.ftruncate(handle, 0)
        os.close(handle)


def hold_until_exit(root: Path) -> None:
    """Hold the results tree in one's own name to the end of this process; UserError as in ``run_lock``.

    A child of the holder holds the lock with it: should the holder be killed, its child goes on working and holding.
    """
    inherited = os.environ.pop(HANDLE_VARIABLE, None)
    if inherited is None:
        stack = contextlib.ExitStack()
        stack.enter_context(run_lock(root))
        atexit.register(stack.close)
    else:
        os.set_inheritable(int(inherited), False)  # jobs may outlive this process, and must not hold the tree then
        _sign(int(inherited))
        _beat(run_lock_file(root), threading.Event())


def holder(root: Path) -> str:
    """Who runs something in a results tree, as told to a person; "" for nobody, as far as can be seen from here."""
    path = run_lock_file(root)
    try:
        host, _, process = path.read_text(errors="replace").strip().rpartition(" ")
        silent = time.time() - path.stat().st_mtime
    except OSError:
        return ""
    alive = is_locked(path) if host == platform.node() else silent < SILENCE_S
    return f"process {process} on {host}" if host and alive else ""


def _acquire(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        take(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
    except BlockingIOError:
        holder = _read(handle)
        os.close(handle)
        who = f"process {holder[1]} on {holder[0]}" if holder else "another process"
        raise UserError(f"a run already works on {path.parent} ({who}); wait for it, or stop it first") from None
    holder = _read(handle)
    silent = _seconds_since_touched(handle, path.parent)
    if holder and holder[0] != platform.node() and silent < SILENCE_S:
        os.close(handle)
        raise UserError(
            f"{path} says that process {holder[1]} on {holder[0]} worked here {silent:.0f} s ago; "
            f"wait for it or stop it, or if it is dead wait {SILENCE_S - silent:.0f} s or remove that file"
        )
    return handle


def _read(handle: int) -> tuple[str, str] | None:
    """(host, process id) in the file; None if nobody holds it, or does not say yet."""
    host, _, process = os.pread(handle, 1000, 0).decode(errors="replace").strip().rpartition(" ")
    return (host, process) if host else None


def _sign(handle: int) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{platform.node()} {os.getpid()}\n".encode(), 0)


def _seconds_since_touched(handle: int, folder: Path) -> float:
    """Age of the note by the file server's clock, which need not be this machine's."""
    with tempfile.TemporaryFile(dir=folder) as now:
        return max(0.0, os.fstat(now.fileno()).st_mtime - os.fstat(handle).st_mtime)


def _beat(path: Path, ended: threading.Event) -> None:
    """Touch the note now and then, until ``ended`` or the process's end."""

    def touch() -> None:
        while not ended.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(path)

    threading.Thread(target=touch, daemon=True).start()
