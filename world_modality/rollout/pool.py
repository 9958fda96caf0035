"""The simulator processes of a rollout: started, listened to, watched and started again.

They import this module, and so it imports nothing that only the policy needs.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver as forkserver
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from world_modality.benchmarks.contract import open_simulator
from world_modality.benchmarks.graphics import choose_opengl
from world_modality.facts.benchmarks import SUITES
from world_modality.rollout.messages import Answer, Begin, Command, Outcome, Ready
from world_modality.rollout.worker import OpenSimulator, serve
from world_modality.store.orphans import this_process
from world_modality.study.specs import SimSpec

SPARE = 1  # simulators of other tasks that a process keeps open, for a task that comes back
START_SECONDS = 300.0  # that a process is given to import what it needs
END_SECONDS = 5.0  # that a process is given to end before it is killed
HANG_SECONDS = 300.0  # without a sign of a simulator; a reset takes seconds, a chunk less


@dataclass(frozen=True, slots=True)
class Died:
    """A simulator process ended or was ended; ``slot`` is whose command it was at, None if it was at none."""

    worker: int
    slot: int | None
    lost: tuple[int, ...]  # further slots whose simulators went with it
    reason: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A simulator process answered."""

    worker: int
    answer: Outcome


class _Process:
    """One simulator process with a thread that hears it, so that it never waits to be heard."""

    def __init__(self, number: int, open_simulator: OpenSimulator, spare: int, heard: queue.SimpleQueue[Any]) -> None:
        context = multiprocessing.get_context("forkserver")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, open_simulator, spare, this_process()), daemon=True)
        self.process.start()
        theirs.close()
        self.commands: deque[int] = deque()  # slots of the commands not answered yet, oldest first
        self.sent, self.answered = 0, 0
        self.sent_at_end: int | None = None  # how many commands it can have known of, once it is gone
        self.ready, self.last_heard = False, time.monotonic()
        threading.Thread(target=_listen, args=(number, self, self.connection, heard), daemon=True).start()

    def end(self) -> None:
        """Kill it, if it still runs."""
        with suppress(OSError):
            self.connection.close()
        self.process.kill()
        self.process.join(END_SECONDS)


def _listen(number: int, process: _Process, connection: Connection, heard: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            heard.put((number, process, connection.recv()))
    except (EOFError, OSError):
        process.sent_at_end = process.sent
        heard.put((number, process, None))


def warm_up(preload: Sequence[str]) -> None:
    """Start the server that simulator processes are forked from, which imports the modules ``preload`` meanwhile."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(preload))
    forkserver.ensure_running()


class Pool:
    """Simulator processes by number. A process that dies or hangs is replaced at once."""

    def __init__(
        self, open_simulator: OpenSimulator, workers: int, hang_seconds: float, preload: Sequence[str] = ()
    ) -> None:
        """Start ``workers`` processes; slot s belongs to process ``s % workers``.

        ``preload`` names modules that the server they are forked from imports once, if it does not run yet.
        """
        self._open, self._hang = open_simulator, hang_seconds
        if preload:
            warm_up(preload)
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._processes = [self._start(number) for number in range(workers)]
        self._begun: list[set[int]] = [set() for _ in range(workers)]  # slots that have an episode under way

    def send(self, command: Command) -> None:
        """Give a slot's process a command; whether it can carry it out shows in :meth:`receive`."""
        number = command.slot % len(self._processes)
        process = self._processes[number]
        if isinstance(command, Begin):
            self._begun[number].add(command.slot)
        if not process.commands:
            process.last_heard = time.monotonic()
        process.commands.append(command.slot)
        process.sent += 1
        with suppress(OSError):  # it died: the listener says so
            process.connection.send(command)

    def receive(self, seconds: float) -> Iterator[Heard | Died]:
        """What was heard since the last call; waits up to ``seconds`` if nothing was.

        One after the other: whoever listens acts on an event before the next is looked at, so that a death after an
        answer finds the commands that the answer led to.
        """
        with suppress(queue.Empty):
            yield from self._event(*self._heard.get(timeout=seconds) if seconds > 0 else self._heard.get_nowait())
            for _ in range(self._heard.qsize()):
                yield from self._event(*self._heard.get_nowait())
        yield from self._replace_hung()

    @property
    def workers(self) -> int:
        """Number of processes."""
        return len(self._processes)

    def idle(self) -> bool:
        """Whether some process has nothing to do."""
        return any(not process.commands for process in self._processes)

    def memory(self) -> int:
        """Bytes of main memory that the processes have of their own."""
        import psutil

        total = 0
        for process in self._processes:
            with suppress(psutil.Error):
                total += int(psutil.Process(process.process.pid).memory_full_info().uss)
        return total

    def is_quiet(self) -> bool:
        """Whether no process has anything to do or an episode under way."""
        return not any(process.commands for process in self._processes) and not any(self._begun)

    def finished(self, slot: int) -> None:
        """The slot's episode is over."""
        self._begun[slot % len(self._processes)].discard(slot)

    def close(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.end()

    def _start(self, number: int) -> _Process:
        return _Process(number, self._open, SPARE, self._heard)

    def _event(self, number: int, process: _Process, answer: Answer | None) -> Sequence[Heard | Died]:
        if process is not self._processes[number]:
            return []  # the last words of a process that was replaced
        process.last_heard = time.monotonic()
        if isinstance(answer, Ready):
            process.ready = True
            return []
        if answer is not None:
            process.commands.popleft()
            process.answered += 1
            return [Heard(number, answer)]
        process.process.join(END_SECONDS)
        code = process.process.exitcode
        hint = " (killed, as for want of memory)" if code == -signal.SIGKILL else ""
        return [self._replace(number, f"the simulator process ended with exit code {code}{hint}")]

    def _replace_hung(self) -> Iterator[Died]:
        now = time.monotonic()
        for number, process in enumerate(list(self._processes)):
            if process.commands and now - process.last_heard > (self._hang if process.ready else START_SECONDS):
                yield self._replace(number, f"the simulator gave no sign for {now - process.last_heard:.0f} s")

    def _replace(self, number: int, reason: str) -> Died:
        process = self._processes[number]
        knew = process.sent_at_end is None or process.answered < process.sent_at_end
        at = process.commands[0] if process.commands and knew else None
        lost = tuple(sorted(self._begun[number] - {at}))
        process.end()
        self._begun[number].clear()
        self._processes[number] = self._start(number)
        return Died(number, at, lost, reason)


def expect_simulators(suites: Sequence[str]) -> None:
    """Let what these suites' simulator processes import be imported while the policy is loaded.

    UserError if this machine cannot render: the process that imports could not say so.
    """
    choose_opengl()
    warm_up(preloaded(suites))


@dataclass
class _Keeper:
    """Simulator processes that wait for the next rollout of the same job."""

    keeps: bool = False
    kind: tuple[SimSpec, Path | None, int] | None = None
    pool: Pool | None = None

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
        self.kind = self.pool = None


_keeper = _Keeper()


def kept_memory() -> int:
    """Bytes that the kept simulators have: the next rollout goes on with them, or they are ended before it starts."""
    return 0 if _keeper.pool is None else _keeper.pool.memory()


@contextmanager
def kept_simulators() -> Iterator[None]:
    """Within, the simulators of a rollout that ends well are kept for the next one that needs such; at most one set."""
    _keeper.keeps = True
    try:
        yield
    finally:
        _keeper.keeps = False
        _keeper.close()


@contextmanager
def simulator_pool(sim: SimSpec, assets: Path | None, workers: int) -> Iterator[Pool]:
    """Simulator processes for any tasks of the suite, with the assets that ``open_assets`` has checked."""
    kind = (sim, assets, workers)
    if _keeper.kind == kind and _keeper.pool is not None:
        pool, _keeper.pool = _keeper.pool, None
    else:
        _keeper.close()
        pool = Pool(partial(open_simulator, sim, assets=assets), workers, HANG_SECONDS, preloaded([sim.suite]))
    try:
        yield pool
    except BaseException:
        pool.close()
        raise
    if _keeper.keeps and pool.is_quiet():
        _keeper.kind, _keeper.pool = kind, pool
    else:
        pool.close()


def preloaded(suites: Sequence[str]) -> tuple[str, ...]:
    """The modules that the suites' simulator processes need."""
    own = dict.fromkeys(module for suite in suites for module in SUITES[suite].preload)
    return (*own, __name__)
