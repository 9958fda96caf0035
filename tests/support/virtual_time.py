"""Time that passes only while everybody waits: thousands of machines run real code in one thread, a greenlet per task.

Whatever waits, for a clock, a disk or another, calls :meth:`Clock.sleep` or waits on an :class:`Event`, and the task
that is due next goes on. Nothing else ever switches, so a run is repeatable.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush, heappushpop
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet

FOREVER = float("inf")
MOMENT_S = 1e-6  # that anything takes: whoever waits until a time must not wake a rounding before it, for ever


@dataclass(eq=False)
class Machine:
    """Where tasks run. What happens to it happens to all of them at once."""

    name: str
    gone: bool = False  # it will never do anything again
    frozen_until: float = 0.0  # does nothing before; then it goes on as if nothing had been
    deaf_until: float = 0.0  # until then its renewals of leases are lost on the way
    known: dict[str, dict[str, tuple[float, Any]]] = field(default_factory=dict, repr=False)  # of files, until when


class Task(greenlet):
    """A thread of a machine."""

    def __init__(self, work: Callable[[], object], machine: Machine, parent: greenlet) -> None:
        super().__init__(work, parent)
        self.machine = machine
        self.turn = 0  # number of the entry it waits for; earlier ones are void


class Clock:
    """Seconds since the beginning, and who is due when. It stops at ``limit``, whatever is still to be done."""

    def __init__(self, limit: float = FOREVER) -> None:
        self.now, self._limit = 0.0, limit
        self._due: list[tuple[float, int, Task]] = []
        self._turns = 0
        self._tasks: set[Task] = set()
        self._new: Task | None = None  # to begin
        self._closed = False

    def start(self, work: Callable[[], object], machine: Machine, after: float = 0.0) -> Task:
        """Let ``machine`` do ``work`` in a task of its own, from ``after`` seconds on."""

        def whole() -> None:
            try:
                work()
            finally:
                self._tasks.discard(task)

        task = Task(whole, machine, self._main)
        self._tasks.add(task)
        heappush(self._due, self._entry(after, task))
        return task

    def run(self) -> None:
        """Go on until nobody has anything to wait for but each other, or it is too late."""
        while self._new is not None or (self._due and self.now < self._limit):
            if self._new is None:
                self._go_on(heappop(self._due))
            else:
                task, self._new = self._new, None
                task.switch()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._go_on(heappushpop(self._due, self._entry(seconds, self.task)))

    def park(self, seconds: float = FOREVER) -> None:
        """Wait until :meth:`wake`, at most so long."""
        if seconds < FOREVER:
            self.sleep(seconds)
            return
        self._turns += 1
        self.task.turn = self._turns
        if self._due:
            self._go_on(heappop(self._due))
        else:
            self._main.switch()

    def wake(self, task: Task) -> None:
        """Let a task that is parked go on now."""
        heappush(self._due, self._entry(0.0, task))

    def close(self) -> None:
        """End what is still there, such as the tasks of machines that are gone; none of it waits any more."""
        self._closed = True
        while self._tasks:
            task = self._tasks.pop()
            if task:  # has begun and not ended
                with suppress(Exception):  # whatever it runs into on its way out
                    task.throw(GreenletExit)

    @property
    def task(self) -> Task:
        """The one that runs."""
        task = getcurrent()
        if self._closed:
            raise GreenletExit
        assert isinstance(task, Task)
        return task

    @property
    def machine(self) -> Machine:
        """That of the task that runs."""
        return self.task.machine

    @property
    def inside(self) -> bool:
        """Whether a task asks, rather than whoever runs the clock."""
        return isinstance(getcurrent(), Task)

    @property
    def _main(self) -> greenlet:
        current = getcurrent()
        return current.parent if isinstance(current, Task) else current

    def _entry(self, seconds: float, task: Task) -> tuple[float, int, Task]:
        self._turns += 1
        task.turn = self._turns
        return self.now + max(seconds, MOMENT_S), self._turns, task

    def _go_on(self, entry: tuple[float, int, Task]) -> None:
        """Switch to the first task that is due and can go on, if that is another than the one that asks."""
        while True:
            when, turn, task = entry
            machine = task.machine
            if task.turn == turn and not machine.gone:
                if machine.frozen_until <= when:
                    break
                heappush(self._due, (machine.frozen_until, turn, task))
            if not self._due:
                if self.inside:
                    self._main.switch()
                return
            entry = heappop(self._due)
        self.now = when
        if when >= self._limit:
            if self.inside:
                self._main.switch()
            return
        if task is getcurrent():
            return
        if self.inside and not task:  # not begun: from here all its calls would count as calls of this one's
            self._new = task
            self._main.switch()
        else:
            task.switch()


class Event:
    """``threading.Event`` in a clock's time."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._set = clock, False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for task in self._waiting:
            self._clock.wake(task)
        self._waiting.clear()

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            task = self._clock.task
            self._waiting.append(task)
            self._clock.park(FOREVER if timeout is None else timeout)
            if task in self._waiting:
                self._waiting.remove(task)
        return self._set


class Thread:
    """``threading.Thread`` in a clock's time, on the machine of whoever starts it."""

    def __init__(self, clock: Clock, target: Callable[..., object], args: tuple[Any, ...] = ()) -> None:
        self._clock, self._target, self._args = clock, target, args
        self._ended = Event(clock)

    def start(self) -> None:
        self._clock.start(self._work, self._clock.machine)

    def join(self) -> None:
        self._ended.wait()

    def _work(self) -> None:
        try:
            self._target(*self._args)
        finally:
            self._ended.set()
