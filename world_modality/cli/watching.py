"""Showing a text that changes, again and again, until Ctrl-C: in place on a terminal, one below the other elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # and no cursor there
HOME, END_OF_LINE, REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(
    text: Callable[[], Sequence[str]],
    seconds: float,
    stream: TextIO | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show ``text()`` every ``seconds`` seconds; returns at Ctrl-C.

    A terminal is written over line by line and never cleared, so it does not flicker, and gets its old content back in
    the end, with the last text below it. What has no room is left out.
    """
    stream = stream or sys.stdout
    lines: Sequence[str] = ()
    try:
        with _screen(stream) as show:
            while True:
                lines = text()
                show(lines)
                sleep(seconds)
    except KeyboardInterrupt:
        if stream.isatty():
            print("\n".join(lines), file=stream, flush=True)


@contextmanager
def _screen(stream: TextIO) -> Iterator[Callable[[Sequence[str]], None]]:
    if not stream.isatty():
        yield lambda lines: print("\n".join(lines), end="\n\n", file=stream, flush=True)
        return
    stream.write(OTHER_SCREEN)
    try:
        yield lambda lines: _over(stream, lines)
    finally:
        stream.write(FIRST_SCREEN)
        stream.flush()


def _over(stream: TextIO, lines: Sequence[str]) -> None:
    """Write lines over what is on the screen, in one go."""
    size = shutil.get_terminal_size()
    room = size.lines - 1
    fitting = list(lines) if len(lines) <= room else [*lines[: room - 1], f"({len(lines) - room + 1} more lines)"]
    stream.write(HOME + "".join(f"{line[: size.columns]}{END_OF_LINE}\n" for line in fitting) + REST_OF_SCREEN)
    stream.flush()
