"""Which process is which: neither a number that is given out again misleads, nor a clock that is set."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path

PROC = Path("/proc")


def place() -> str:
    """Where process numbers mean the same: one boot of one machine and one container in it. It has no slash."""
    boot = PROC / "sys/kernel/random/boot_id"
    namespace = PROC / "self/ns/pid"
    parts = [boot.read_text().strip() if boot.is_file() else platform.node()]
    with contextlib.suppress(OSError):
        parts.append(str(namespace.readlink()))
    return " ".join(parts)


def started(pid: int) -> str | None:
    """What tells a process of this place from others of its number: its start, in the kernel's ticks since the boot.

    None if it is gone or already dead. Without ``/proc`` it is what psutil knows of the start.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if (PROC / "self").exists() else _started_by_psutil(pid)
    return None if fields[0] in ("Z", "X") else fields[19]


def _started_by_psutil(pid: int) -> str | None:
    import psutil  # on Linux nobody waits for it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.NoSuchProcess:
        return None
