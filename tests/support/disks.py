"""Small disks that can run full, be made read-only and vanish, for tests that run as root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """A disk in memory at ``place``; skips the test where nobody may mount one."""
    place.mkdir(parents=True, exist_ok=True)
    made = mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place))
    if made.returncode:
        pytest.skip(f"no disk can be mounted here ({made.stderr.strip()})")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


def read_only(place: Path, *, yes: bool) -> None:
    """Make a disk read-only, or writable again."""
    made = mount("-o", f"remount,{'ro' if yes else 'rw'}", str(place))
    assert made.returncode == 0, made.stderr
