"""Who works on a simulated study, what happens to them, and what became of it: for ``many_workers``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from world_modality.rollout.episodes import Episode

SHORTEST_S, SPREAD_S = 30.0, 60.0  # of an episode


@dataclass(frozen=True)
class Plan:
    """Who works on what, and what happens to them."""

    workers: int
    episodes: int
    slots: int = 4  # episodes at once, of a worker
    block: int = 50  # episodes of a stage
    start_s: float = 120.0  # within which the workers begin
    load_s: float = 10.0  # until a policy is loaded
    latency_s: float = 0.02
    stale_s: float = 30.0
    most_per_s: float = float("inf")  # operations that the file server can do
    die: float = 0.05  # share of the workers that are gone at some time
    freeze_per_h: float = 0.1  # how often a worker stops, for 150 to 900 s,
    deaf_per_h: float = 0.1  # and how often its renewals are lost, for 60 to 600 s
    seed: int = 0

    @property
    def expected_s(self) -> float:
        """How long it would take if nothing but playing took time."""
        return self.episodes * (SHORTEST_S + SPREAD_S / 2) / (self.workers * self.slots)


@dataclass
class Found:
    """What became of it."""

    plan: Plan
    hours: float = 0.0  # until the last stage was sealed
    played: Counter[tuple[str, Episode]] = field(default_factory=Counter)  # to their end, by stage's key and episode
    published: Counter[tuple[str, Episode]] = field(default_factory=Counter)
    wrong: int = 0  # published records that do not say how their episode ended
    idle_s: dict[str, float] = field(default_factory=dict)  # longest, by worker, while there were episodes to begin
    shares: dict[str, int] = field(default_factory=dict)  # episodes played by each worker that lived
    deaths: int = 0
    harmed: int = 0  # times that a worker was frozen or not heard
    busy_s: float = 0.0  # of all slots, on episodes
    had_s: float = 0.0  # of all slots of the living, until the last episode had begun
    operations: Counter[str] = field(default_factory=Counter)
    peak_per_s: float = 0.0  # busiest ten seconds

    @property
    def duplicates(self) -> int:
        """Episodes played to their end once more than needed."""
        return sum(self.played.values()) - len(self.played)

    @property
    def lost(self) -> int:
        """Episodes without a record in a sealed stage, and those that were published twice or otherwise than played."""
        return self.plan.episodes - len(self.published) + self.wrong + sum(n - 1 for n in self.published.values())

    def figures(self) -> dict[str, float]:
        """Named numbers, for people."""
        total, seconds = sum(self.operations.values()), 3600 * self.hours
        shares = sorted(self.shares.values())
        return {
            "hours": round(self.hours, 2),
            "duplicates": self.duplicates,
            "duplicate_share": round(self.duplicates / self.plan.episodes, 5),
            "lost": self.lost,
            "deaths": self.deaths,
            "frozen_or_deaf": self.harmed,
            "busy_share": round(self.busy_s / self.had_s, 3),
            "longest_idle_s": round(max(self.idle_s.values()), 1),
            "fewest_episodes": shares[0],
            "most_episodes": shares[-1],
            "operations": total,
            "operations_per_episode": round(total / self.plan.episodes, 1),
            "operations_per_s": round(total / seconds, 1),
            "operations_per_s_peak": round(self.peak_per_s, 1),
        }
