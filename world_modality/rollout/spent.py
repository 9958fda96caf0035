"""Where a rollout's processor time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from world_modality.rollout.messages import Did
from world_modality.rollout.tuning import Measured

PARTS = ("reset", "physics", "render", "policy", "encoder")


@dataclass
class Account:
    """CPU seconds by part, over all processes of a rollout, and the wall time they took."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    started: float = field(default_factory=time.monotonic)
    chunks: int = 0  # executed
    batches: int = 0  # answered

    def add(self, did: Did) -> None:
        """What a simulator process spent on a command."""
        self.chunks += did.steps > 0
        for part in ("reset", "physics", "render"):
            self.seconds[part] += getattr(did.spent, part)

    def measured(self, batch: int, steps: int) -> Measured:
        """The mean cost so far of a chunk of ``steps`` and of a whole batch."""
        simulated = self.seconds["physics"] + self.seconds["render"]
        planned = self.seconds["policy"] + self.seconds["encoder"]
        return Measured(simulated / max(self.chunks, 1), planned / max(self.batches, 1), steps, batch)

    @contextmanager
    def charged(self, part: str) -> Iterator[None]:
        """Charge this thread's time inside the block to ``part``."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.seconds[part] += time.thread_time() - start

    @property
    def wall(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def shares(self, cores: int) -> dict[str, float]:
        """Each part's share of all time that ``cores`` had, and what is left: idle or spent by others."""
        total = self.wall * cores
        shares = {part: seconds / total for part, seconds in self.seconds.items()}
        return {**shares, "idle": max(0.0, 1 - sum(shares.values()))}

    def told(self, cores: int) -> dict[str, Any]:
        """As JSON values: wall seconds, the cores they were had on, and each part's share of their time."""
        shares = {part: round(share, 4) for part, share in self.shares(cores).items()}
        return {"seconds": round(self.wall, 2), "cores": cores, "shares": shares}

    def summary(self, cores: int) -> str:
        """The shares in a line, e.g. ``physics 41%, render 38%, policy 12%, idle 9%``."""
        shares = self.shares(cores)
        return ", ".join(f"{part} {share:.0%}" for part, share in shares.items() if share >= 0.005)
