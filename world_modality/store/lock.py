"""One process per stage folder, across crashes: the kernel drops the lock when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from world_modality.errors import UserError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL)
"""What a file system answers that keeps no locks."""


def take(handle: int, operation: int, path: Path) -> None:
    """``fcntl.flock`` of the open ``path``.

    Raises:
        BlockingIOError: somebody else holds it, and ``operation`` does not wait.
        UserError: its file system keeps no locks.
    """
    try:
        fcntl.flock(handle, operation)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise UserError(
            f"{path.resolve().parent} lies on a file system that keeps no locks ({os.strerror(error.errno)}), and two "
            "runs could spoil each other's results there: work on another one, or have it mounted with flock"
        ) from None


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold ``path`` (created if missing) exclusively; call ``on_wait`` once if another process holds it now.

    The file is never removed: removing it would let two processes hold two different files of one name.
    Worker processes forked by the holder keep the lock with it, so a restart waits until they are gone too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            take(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
        except BlockingIOError:
            on_wait()
            take(handle, fcntl.LOCK_EX, path)
        yield
    finally:
        os.close(handle)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold ``path`` (created if missing) together with others who share it, so that :func:`is_locked` tells of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        take(handle, fcntl.LOCK_SH, path)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether some process holds ``path`` right now; where there are no locks, or none may be had, nobody does."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.EROFS):
            return False
        raise
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in NO_LOCKS
    finally:
        os.close(handle)
    return False
