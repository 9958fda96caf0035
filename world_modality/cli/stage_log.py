"""What a stage and its libraries print goes to its log, without secrets; what a person should see, to the terminal."""

from __future__ import annotations

import os
import secrets
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from world_modality import redaction

ENDING_S = 5
"""Seconds that a log's writer is given to have written everything."""
MOMENT_S = 0.1
"""Seconds in which it ends if nobody else prints to it."""
_WRITERS: list[subprocess.Popen[bytes]] = []
"""Those that may still run: a process that a stage left behind, such as a simulator that is kept, prints to them."""


@contextmanager
def printing_to(log: Path) -> Iterator[TextIO]:
    """Send everything that this process and its children print to ``log``, without secrets; yields the terminal.

    Done at the level of file descriptors, because native libraries print without asking Python. A process of its own
    writes the file: whatever kills the stage, its last words are kept, and a disk that is full stops no stage in the
    middle of a word.
    """
    with suppress(OSError):  # what is wrong with the tree is told when its lock is taken
        log.parent.mkdir(parents=True, exist_ok=True)
    _flush()
    mark = secrets.token_hex(16)
    writer = _writer(log, mark)
    assert writer.stdin is not None
    saved_out, saved_err = os.dup(1), os.dup(2)
    with os.fdopen(os.dup(2), "w", buffering=1) as terminal:
        os.dup2(writer.stdin.fileno(), 1)
        os.dup2(writer.stdin.fileno(), 2)
        try:
            yield terminal
        finally:
            _flush()
            with suppress(OSError):
                os.write(1, mark.encode())
            for saved, number in ((saved_out, 1), (saved_err, 2)):
                os.dup2(saved, number)
                os.close(saved)
            writer.stdin.close()
            _await(writer)


def _writer(log: Path, mark: str) -> subprocess.Popen[bytes]:
    _WRITERS[:] = [each for each in _WRITERS if each.poll() is None]
    command = [sys.executable, "-I", "-S", redaction.__file__, str(log.absolute()), mark]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL  # whoever waits for this process's output must not wait for it
    _WRITERS.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, bufsize=0))
    return _WRITERS[-1]


def _await(writer: subprocess.Popen[bytes]) -> None:
    """Until it has written all that was printed up to now."""
    assert writer.stdout is not None
    answer = select.poll()
    answer.register(writer.stdout, select.POLLIN)
    answer.poll(ENDING_S * 1000)
    writer.stdout.close()
    with suppress(subprocess.TimeoutExpired):
        writer.wait(MOMENT_S)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
