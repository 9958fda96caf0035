"""Where a rollout's processor time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from world_modality.rollout.messages import Did
from world_modality.rollout.trajectory import Trajectory
from world_modality.rollout.tuning import Measured

PARTS = ("reset", "physics", "render", "policy", "encoder")
LOOK_AHEAD = "look-ahead"
"""A further part where the memory looks ahead: simulators, policy and encoder together."""


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
    episodes: int = 0  # that ended,
    ahead_steps: int = 0  # and what looking ahead took in them: control steps
    ahead_queries: int = 0  # and chunks

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

    def add_ahead(self, did: Did) -> None:
        """What a simulator process spent on looking ahead."""
        self._charge(LOOK_AHEAD, did.timing.physics + did.timing.render)

    def ended(self, trajectory: Trajectory) -> None:
        """An episode is over."""
        self.episodes += 1
        self.ahead_steps += trajectory.ahead_steps
        self.ahead_queries += trajectory.ahead_queries

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
            self._charge(part, clock() - start)

    def _charge(self, part: str, seconds: float) -> None:
        self.seconds[part] = self.seconds.get(part, 0.0) + seconds

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
        found = {"seconds": round(self.wall, 2), "cores": cores, "shares": shares, "start_seconds": before}
        return {**found, "look_ahead": self._ahead()} if self.ahead_steps else found

    def summary(self, cores: int) -> str:
        """The shares in a line, e.g. ``physics 41%, render 38%, policy 12%, idle 9%``."""
        shares = self.shares(cores)
        parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items() if share >= 0.005)
        return parts + self.ahead_told()

    def ahead_told(self) -> str:
        """What looking ahead costs, for the end of a line; empty where nothing does, or no episode ended yet.

        E.g. ``; look-ahead 62% of the work: 224 steps and 28 queries more per episode``.
        """
        if not self.ahead_steps:
            return ""
        found = self._ahead()
        extra = f"{found['steps_per_episode']:.0f} steps and {found['queries_per_episode']:.0f} queries"
        return f"; look-ahead {found['share_of_work']:.0%} of the work: {extra} more per episode"

    def _ahead(self) -> dict[str, float]:
        """What looking ahead took of all seconds that were worked, and in the mean episode that ended."""
        return {
            "share_of_work": round(self.seconds.get(LOOK_AHEAD, 0.0) / max(sum(self.seconds.values()), 1e-9), 4),
            "steps_per_episode": round(self.ahead_steps / self.episodes, 2),
            "queries_per_episode": round(self.ahead_queries / self.episodes, 2),
        }
