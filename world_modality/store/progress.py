"""Progress of a long stage: a line now and then, with the time it still needs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from world_modality.redaction import redacted

BAR_WIDTH = 16
LABEL_WIDTH = 26  # "rollout E2-random/0 task 1"


def format_seconds(seconds: float) -> str:
    """Render a duration as ``1:05`` or ``2:03:09``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Prints ``label  ####----  18/24 episodes  facts  ETA 1:40``, at most once per ``every`` seconds.

    The first and the last line always appear. Work that was done in an earlier,
    interrupted attempt counts as done but not towards the rate.
    """

    def __init__(
        self,
        label: str,
        *,
        stream: TextIO | None = None,
        every: float = 5.0,
        clock: Callable[[], float] = lambda: time.monotonic(),  # as it is when it is asked
        last_line: Path | None = None,  # a file that holds the newest line, for whoever looks after a crash
        on_update: Callable[[], None] = lambda: None,  # called with every report, be it printed or not
    ) -> None:
        self.label = label
        self._stream = stream if stream is not None else sys.stderr
        self._every = every
        self._clock = clock
        self._last_line = last_line
        self._on_update = on_update
        self._start: tuple[float, float] | None = None  # (time, done) at the first update
        self._last = float("-inf")

    def update(self, done: float, total: float, unit: str, facts: str = "") -> None:
        """Report that ``done`` of ``total`` ``unit`` are finished; ``facts`` is free text such as a rate or a loss."""
        self._on_update()
        now = self._clock()
        if self._start is None:
            self._start = (now, done)
        if done < total and now - self._last < self._every:
            return
        self._last = now
        filled = int(BAR_WIDTH * done / total) if total else BAR_WIDTH
        bar = "#" * filled + "-" * (BAR_WIDTH - filled)
        parts = [f"{self.label:<{LABEL_WIDTH}}", bar, f"{done:g}/{total:g} {unit}"]
        if facts:
            parts.append(facts)
        if 0 < done < total and done > self._start[1]:
            per_item = (now - self._start[0]) / (done - self._start[1])
            parts.append(f"ETA {format_seconds(per_item * (total - done))}")
        line = "  ".join(parts)
        self.say(line)
        if self._last_line is not None:
            self._last_line.write_text(redacted(line) + "\n")

    def say(self, text: str) -> None:
        """Print one line now."""
        print(redacted(text), file=self._stream, flush=True)
