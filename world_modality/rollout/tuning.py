"""How many units at once: simulator supply against policy demand, from a short measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_SLOTS_EACH = 4  # more units per simulator process only cost memory


@dataclass(frozen=True, slots=True)
class Measured:
    """What one chunk costs, in CPU seconds of the process that does it."""

    simulate: float  # to execute it and to look
    plan: float  # to answer a whole batch, with the histories encoded
    steps: int  # control steps of a chunk
    batch: int


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a rollout goes on."""

    workers: int
    slots_each: int
    supply: float  # control steps per second that the simulators can do, were the policy instant
    demand: float  # that the policy can plan for, were the simulators instant

    @property
    def slots(self) -> int:
        """Units at once."""
        return self.workers * self.slots_each

    def sentence(self) -> str:
        """For the progress log."""
        bound = "policy" if self.demand < self.supply else "simulators"
        return (
            f"{self.workers} simulator processes x {self.slots_each} units: simulators {self.supply:.0f} steps/s, "
            f"policy {self.demand:.0f} steps/s, bound by the {bound}"
        )


def tune(measured: Measured, workers: int) -> Tuning:
    """As many units per process as keep it busy while a batch is collected and answered.

    A process has nothing to do while all its units wait. A batch is complete after ``batch / workers`` chunks of every
    process, and answered ``plan`` seconds later; meanwhile each process needs chunks of its own to simulate.
    """
    simulate, plan = max(measured.simulate, 1e-6), max(measured.plan, 1e-6)
    waiting = measured.batch / workers + plan / simulate
    slots = min(MOST_SLOTS_EACH, max(2, math.ceil(waiting)))
    return Tuning(workers, slots, workers * measured.steps / simulate, measured.batch * measured.steps / plan)
