"""Where a rollout's processor time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from world_modality.rollout.messages import Did
from world_modality.rollout.tuning import Measured

PARTS = ("reset", "physics", "render", "policy", "encoder")


@dataclass
class TimeAccount:
    """CPU seconds by part, over all processes of a rollout, and the wall time they took; of a policy that a server
    holds the seconds that it was waited for.

    The clock starts with the first command that was carried out: before that, simulator processes import.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    created: float = field(default_factory=time.monotonic)
    started: float | None = None
    chunks: int = 0  # executed
    acted: float = 0.0  # CPU seconds of the simulators on them
    batches: int = 0  # answered
    rows: int = 0  # of requests in them
    cold: tuple[float, float] = (0.0, 0.0)  # what the first batch cost in policy and encoder: they warm up in it
    cold_rows: int = 0

    def add(self, did: Did) -> None:
        """What a simulator process spent on a command."""
        timing = did.timing
        if self.started is None:
            self.started = max(self.created, time.monotonic() - timing.reset - timing.physics - timing.render)
        if did.steps > 0:
            self.chunks += 1
            self.acted += timing.physics + timing.render
        for part in ("reset", "physics", "render"):
            self.seconds[part] += getattr(timing, part)

    def answered(self, requests: int) -> None:
        """A batch with so many requests was answered."""
        self.batches += 1
        self.rows += requests
        if self.batches == 1:
            self.cold, self.cold_rows = (self.seconds["policy"], self.seconds["encoder"]), requests

    def measured(self, batch: int, steps: int) -> Measured:
        """The mean cost so far of a chunk of ``steps``, of a whole batch and of an episode's window.

        The first batch does not count.
        """
        planned = self.seconds["policy"] - self.cold[0]
        encoded = self.seconds["encoder"] - self.cold[1]
        plan, window = planned / max(self.batches - 1, 1), encoded / max(self.rows - self.cold_rows, 1)
        return Measured(self.acted / max(self.chunks, 1), plan, window, steps, batch)

    @contextmanager
    def charged(self, part: str, clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
        """Charge the time inside the block to ``part``: this thread's on the CPU, or what ``clock`` tells."""
        start = clock()
        try:
            yield
        finally:
            self.seconds[part] += clock() - start

    @property
    def wall(self) -> float:
        """Seconds since the first command began; 0 before it was carried out."""
        return 0.0 if self.started is None else time.monotonic() - self.started

    def shares(self, cores: int) -> dict[str, float]:
        """Each part's share of all time that ``cores`` had, and what is left: idle or spent by others."""
        total = max(self.wall * cores, 1e-9)
        shares = {part: seconds / total for part, seconds in self.seconds.items()}
        return {**shares, "idle": max(0.0, 1 - sum(shares.values()))}

    def told(self, cores: int) -> dict[str, Any]:
        """As JSON values: wall seconds, the cores they were had on, each part's share, and the seconds before."""
        shares = {part: round(share, 4) for part, share in self.shares(cores).items()}
        before = 0.0 if self.started is None else round(self.started - self.created, 2)
        return {"seconds": round(self.wall, 2), "cores": cores, "shares": shares, "start_seconds": before}

    def summary(self, cores: int) -> str:
        """The shares in a line, e.g. ``physics 41%, render 38%, policy 12%, idle 9%``."""
        shares = self.shares(cores)
        return ", ".join(f"{part} {share:.0%}" for part, share in shares.items() if share >= 0.005)
