"""A training that dies in the middle, within its process."""

from __future__ import annotations

from world_modality.store.progress import Progress


class Crash(Exception):
    """What it dies of."""


class CrashingProgress(Progress):
    """Raises once 6 steps are done."""

    def update(self, done: float, total: float, episode: str, facts: str = "") -> None:
        if done == 6:
            raise Crash
