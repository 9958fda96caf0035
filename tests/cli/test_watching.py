"""A text that is shown again and again, on a terminal and elsewhere."""

from __future__ import annotations

import io
from collections.abc import Callable

from world_modality.cli.watching import FIRST_SCREEN, HOME, OTHER_SCREEN, watch


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def until(count: int) -> Callable[[float], None]:
    left = [count]

    def sleep(seconds: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return sleep


def counting() -> Callable[[], list[str]]:
    shown = iter(range(1, 100))
    return lambda: [f"look {next(shown)}", *(f"line {number}" for number in range(100))]


def test_elsewhere_one_text_below_the_other() -> None:
    stream = io.StringIO()
    watch(lambda: ["one", "two"], 1.0, stream, until(2))
    assert stream.getvalue() == "one\ntwo\n\none\ntwo\n\n"


def test_a_terminal_is_written_over_and_given_back() -> None:
    stream = Terminal()
    watch(counting(), 1.0, stream, until(3))
    written, _, after = stream.getvalue().partition(FIRST_SCREEN)
    assert written.startswith(OTHER_SCREEN)
    frames = written.split(HOME)[1:]
    assert [frame.split("\x1b")[0] for frame in frames] == ["look 1", "look 2", "look 3"]
    assert "\x1b[2J" not in written, "clearing would flicker"
    assert all(frame.count("\n") < 100 and "more lines)" in frame for frame in frames)
    assert after.startswith("look 3\nline 0\n"), "the last look stays"
    assert after.endswith("line 99\n")
