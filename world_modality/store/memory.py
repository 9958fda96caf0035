"""How much main memory may still be taken, where a queue or a container gives less than the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
SLURM_MEMORY = "SLURM_MEM_PER_NODE"  # megabytes of the job


def free_memory() -> int:
    """Bytes: the least of what is free on this machine, in this process's control groups and in its SLURM job."""
    return max(0, min(psutil.virtual_memory().available, *_in_job(), *free_in_groups(OWN_CGROUPS, CGROUPS)))


def free_in_groups(own: Path, root: Path) -> Iterator[int]:
    """Bytes free in every control group with a limit that a process is in, of either version.

    Args:
        own: the kernel's list of its groups, ``/proc/PID/cgroup``.
        root: where the groups' folders are mounted.
    """
    lines = own.read_text().splitlines() if own.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = mount / path.lstrip("/")
        while folder.is_relative_to(mount):
            with suppress(OSError, ValueError):  # no limit ("max"), or not ours to see
                yield _free(folder, *names)
            folder = folder.parent


def _free(folder: Path, limit: str, usage: str, cached: str) -> int:
    """Pages of files that nobody uses are given back as soon as memory is wanted."""
    statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    taken = int((folder / usage).read_text()) - int(statistics.get(cached, 0))
    return int((folder / limit).read_text()) - taken


def _in_job() -> Iterator[int]:
    granted = os.environ.get(SLURM_MEMORY, "")
    if granted.isdecimal() and int(granted):
        this = psutil.Process()
        family = [this, *this.children(recursive=True)]
        taken = 0
        for process in family:
            with suppress(psutil.Error):
                taken += process.memory_info().rss
        yield int(granted) * 1_000_000 - taken
