"""Who started a stage, and when: one line per attempt, which outlives the process that wrote it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Attempt:
    """One start of a stage. Whoever joins others at work starts nothing."""

    started: str  # UTC, ISO 8601
    host: str = ""  # "" in trees of before it was noted
    process: int = 0
    cores: int = 0  # that it was given

    @property
    def is_here(self) -> bool:
        """Whether it was on this machine, as far as is known, so that the kernel's locks tell of it."""
        return self.host in ("", platform.node())


def note_attempt(path: Path, cores: int) -> None:
    """Add a line for this process."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("a") as file:
        file.write(f"{now} {platform.node()} {os.getpid()} {cores}\n")


def read_attempts(path: Path) -> tuple[Attempt, ...]:
    """All of them, oldest first; none if there is no such file."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(_parse(line.split()) for line in lines if line.strip())


def _parse(words: list[str]) -> Attempt:
    started, host, process, cores, *_ = [*words, "", "", ""]
    return Attempt(started, host, _number(process), _number(cores))


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else 0
