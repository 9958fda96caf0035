"""How much memory a process may still take: the machine's, or what its control group leaves."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def available_memory(
    meminfo: Path = Path("/proc/meminfo"), membership: Path = Path("/proc/self/cgroup"), cgroups: Path = CGROUPS
) -> int:
    """Bytes that can be taken without swapping or being killed; containers and batch systems limit a control group."""
    return min([_machine(meminfo), *_groups(membership, cgroups)])


def _machine(meminfo: Path) -> int:
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _groups(membership: Path, cgroups: Path) -> list[int]:
    """What each limited group (version 2) above this process has left, without the caches it can drop."""
    own = next((line[3:] for line in _lines(membership) if line.startswith("0::")), None)
    if own is None:
        return []
    group, found = cgroups / own.strip("/"), []
    for folder in (group, *group.parents):
        limit, used = _lines(folder / "memory.max"), _lines(folder / "memory.current")
        if limit and used and limit[0].isdigit():
            dropped = [
                int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.startswith("inactive_file ")
            ]
            found.append(max(0, int(limit[0]) - int(used[0]) + sum(dropped)))
        if folder == cgroups:
            break
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []
