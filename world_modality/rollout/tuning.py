"""How many episodes at once: simulator supply against policy demand, from a short measurement."""

from __future__ import annotations

from dataclasses import dataclass

PROCESS_BYTES = 7_000_000_000  # of a simulator process: 1 GB, and five of LIBERO's simulators of 1.2 GB
MEMORY_SHARE = 0.8  # of what is free that a rollout's simulators may take
MOST_SLOTS_EACH = 4  # more episodes per simulator process only cost memory
NEARLY = 1.1  # a larger batch must make a row cheaper by more than this to be advised


@dataclass(frozen=True, slots=True)
class Trial:
    """An answer with another number of rows than a batch has."""

    rows: int
    seconds: float  # of CPU


@dataclass(frozen=True, slots=True)
class Measured:
    """What one chunk costs, in CPU seconds of the process that does it."""

    simulate: float  # to execute it and to query
    plan: float  # to answer a whole batch
    window: float  # to encode one episode's history
    steps: int  # control steps of a chunk
    batch: int

    def query(self, batch: int, trial: Trial, waiting: int) -> float:
        """Seconds of policy and encoder per query with batches of another size, if at most ``waiting`` episodes fill
        one.

        A batch is taken to cost ``fixed + rows * each``, filled or not: a line through the measured one and ``trial``.
        """
        each = max(0.0, (self.plan - trial.seconds) / (self.batch - trial.rows))
        fixed = max(0.0, self.plan - each * self.batch)
        return (fixed + each * batch) / min(batch, waiting) + self.window


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a rollout goes on."""

    workers: int
    slots_each: int
    supply: float  # control steps per second that the simulators can do, were the policy instant
    demand: float  # that the policy can plan for, were the simulators instant
    batch: int
    advised: int  # rows of a batch
    saved: float  # share of a query's cost that the advised batch saves

    @property
    def slots(self) -> int:
        """Episodes at once."""
        return self.workers * self.slots_each

    def sentence(self) -> str:
        """For the progress log."""
        bound = "policy" if self.demand < self.supply else "simulators"
        advice = f"batch {self.batch} fits"
        if self.advised != self.batch:
            advice = f"a batch of {self.advised} rather than {self.batch} would cost {self.saved:.0%} less per query"
        return (
            f"{self.workers} simulator processes x {self.slots_each} episodes: simulators {self.supply:.0f} steps/s, "
            f"policy {self.demand:.0f} steps/s, bound by the {bound}; {advice}"
        )


def fitting(workers: int, free_bytes: int) -> int:
    """How many of so many simulator processes fit into the memory that is free: at least one."""
    return max(1, min(workers, int(MEMORY_SHARE * free_bytes // PROCESS_BYTES)))


def tune(measured: Measured, trial: Trial, workers: int) -> Tuning:
    """As many episodes per process as keep it busy while a batch is collected and answered.

    A process has nothing to do while all its episodes wait. A batch is complete after ``batch / workers`` chunks of
    every
    process, and answered ``plan`` seconds later; meanwhile each process needs chunks of its own to simulate. Rounded: a
    process that has nothing to do is answered before its batch is complete.
    """
    simulate = max(measured.simulate, 1e-6)
    plan = max(measured.plan + measured.batch * measured.window, 1e-6)
    waiting = measured.batch / workers + plan / simulate
    slots = min(MOST_SLOTS_EACH, max(2, round(waiting)))
    supply, demand = workers * measured.steps / simulate, measured.batch * measured.steps / plan
    advised, saved = advice(measured, trial, workers)
    return Tuning(workers, slots, supply, demand, measured.batch, advised, saved)


def advice(measured: Measured, trial: Trial, workers: int) -> tuple[int, float]:
    """The size of batch to use, and the share of a query's cost that it saves.

    The smallest power of two with which a query costs nearly as little as with any; the present one where that is as
    good. Half of the episodes can fill a batch: the others are simulated meanwhile.
    """
    most = max(1, workers * MOST_SLOTS_EACH // 2)
    sizes = [1 << power for power in range(most.bit_length())]
    cost = {size: measured.query(size, trial, most) for size in (*sizes, measured.batch)}
    enough = NEARLY * min(cost.values())
    if cost[measured.batch] <= enough:
        return measured.batch, 0.0
    size = next(size for size in sizes if cost[size] <= enough)
    return size, 1 - cost[size] / cost[measured.batch]
