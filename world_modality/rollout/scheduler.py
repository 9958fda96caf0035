"""Many units at once: simulator processes that never wait for a slow one, and one policy that answers in batches."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.evidence.proportions import wilson
from world_modality.policies.contract import Policy, PolicyRequest
from world_modality.rollout.cell import Cell
from world_modality.rollout.course import Course, History
from world_modality.rollout.messages import Act, Broke, Did, Refused
from world_modality.rollout.pool import Died, Heard, Pool
from world_modality.rollout.records import Ledger
from world_modality.rollout.spent import Account
from world_modality.rollout.tuning import Trial, tune
from world_modality.rollout.units import Unit
from world_modality.store.progress import Progress

MAX_ATTEMPTS = 3
LISTEN_SECONDS = 1.0  # between looks at the clock while nothing is heard
CALIBRATION = 8  # chunks that are measured before the number of units at once is settled
SHARE_SECONDS = 2.0  # between looks whether others have finished what they hold


@dataclass(frozen=True)
class Scheduler:
    """Rolls out a ledger's units, ``slots`` at a time; a slot gets the next free unit as soon as its last is over."""

    cell: Cell
    ledger: Ledger
    policy: Policy
    new_history: Callable[[], History] | None  # a fresh one per unit; None if the memory reads no history
    progress: Progress
    slots: int | None = None  # units at once; by default two per simulator process, tuned after the first chunks

    def run(self, pool: Pool) -> Account:
        """Work until every unit has a record, whoever made it; what took how long.

        Raises:
            UserError: one unit's simulator crashed ``MAX_ATTEMPTS`` times, the simulator refuses the study, or the
                policy gives no usable actions. Finished units stay in the ledger.
        """
        return _Run(self, pool).run()


class _Run:
    """The state of :meth:`Scheduler.run`."""

    def __init__(self, plan: Scheduler, pool: Pool) -> None:
        self._plan, self._pool = plan, pool
        self._courses: dict[int, Course] = {}
        self._waiting: list[Course] = []  # for a chunk, longest first
        self._crashes: defaultdict[Unit, list[str]] = defaultdict(list)
        self._account = Account()
        self._own = 0  # units that were finished here
        self._slots = plan.slots or 2 * pool.workers
        self._tuned = plan.slots is not None
        self._ask_again = 0.0  # when to look again for a unit that nobody holds

    def run(self) -> Account:
        """See :meth:`Scheduler.run`."""
        ledger = self._plan.ledger
        self._report()
        while len(ledger.done) < len(ledger.units):
            ledger.sign()
            self._fill()
            if not self._courses:  # others hold what is left
                time.sleep(SHARE_SECONDS)
                ledger.refresh()
                self._report()
                continue
            for event in self._pool.receive(0 if self._due() else LISTEN_SECONDS):
                self._take(event)
            if self._due():
                self._answer()
        return self._account

    def _fill(self) -> None:
        """Give every free slot a unit, as long as there are any.

        Where others hold what is left, they are asked again after a while only: every question reads their leases.
        """
        if time.monotonic() < self._ask_again:
            return
        for slot in range(self._slots):
            if slot not in self._courses:
                unit = self._plan.ledger.claim()
                if unit is None:
                    self._ask_again = time.monotonic() + SHARE_SECONDS
                    return
                self._begin(slot, unit)

    def _begin(self, slot: int, unit: Unit) -> None:
        plan = self._plan
        history = plan.new_history() if plan.new_history else None
        course = Course(
            slot,
            unit,
            plan.cell.suite,
            plan.cell.n_action_steps,
            plan.cell.horizon,
            plan.policy.looks_back,
            history,
            time.monotonic(),
        )
        self._courses[slot] = course
        self._pool.send(course.begin())

    def _take(self, event: Heard | Died) -> None:
        if isinstance(event, Died):
            for slot in event.lost:
                self._restart(self._courses[slot])
            if event.slot is not None:
                self._crashed(self._courses[event.slot], event.reason)
        elif isinstance(event.answer, Refused):
            raise UserError(event.answer.reason)
        elif isinstance(event.answer, Broke):
            self._crashed(self._courses[event.answer.slot], event.answer.reason)
        else:
            self._advance(self._courses[event.answer.slot], event.answer)

    def _advance(self, course: Course, did: Did) -> None:
        self._account.add(did)
        course.advance(did)
        if not course.over:
            self._waiting.append(course)
            return
        del self._courses[course.slot]
        self._pool.finished(course.slot)
        self._own += self._plan.ledger.append(self._plan.cell.record(course, self._crashes[course.unit]))
        self._report()

    def _crashed(self, course: Course, reason: str) -> None:
        """Run a unit again: a crash is missing data, never a failure."""
        crashes = self._crashes[course.unit]
        crashes.append(reason)
        if len(crashes) == MAX_ATTEMPTS:
            raise UserError(
                f"the simulator crashed {MAX_ATTEMPTS} times on {self._plan.cell.name(course.unit)} (last: {reason}); "
                "finished units are kept: repair the cause and run again."
            )
        self._restart(course)

    def _restart(self, course: Course) -> None:
        if course in self._waiting:
            self._waiting.remove(course)
        self._begin(course.slot, course.unit)

    def _due(self) -> bool:
        """Whether to answer now: a full batch waits, or a simulator has nothing to do until it is answered."""
        return len(self._waiting) >= self._plan.policy.batch or (bool(self._waiting) and self._pool.idle())

    def _answer(self) -> None:
        """Plan for those that wait longest and have one task, as many as a batch takes."""
        task = _language(self._waiting[0])
        asking = [course for course in self._waiting if _language(course) == task][: self._plan.policy.batch]
        chosen = {course.slot for course in asking}
        self._waiting = [course for course in self._waiting if course.slot not in chosen]
        requests = self._requests(asking)
        with self._account.charged("policy"):
            chunks = self._plan.policy.infer(requests)
        self._account.answered(len(requests))
        for course, chunk in zip(asking, chunks, strict=True):
            self._pool.send(self._command(course, chunk))
        if not self._tuned and self._account.chunks >= CALIBRATION and self._account.batches > 1:
            self._tune(requests[0])

    def _tune(self, request: PolicyRequest) -> None:
        """Fit the number of units at once to what the first chunks cost; no result depends on it.

        The number of rows does decide results, so a better one is only told.
        """
        policy = self._plan.policy
        measured = self._account.measured(policy.batch, self._plan.cell.n_action_steps)
        rows = 1 if policy.batch > 1 else 2
        with self._account.charged("policy"):
            trial = Trial(rows, policy.trial(request, rows))
        tuning = tune(measured, trial, self._pool.workers)
        self._plan.progress.say(f"{self._plan.progress.label}  {tuning.sentence()}")
        self._slots, self._tuned = tuning.slots, True

    def _requests(self, asking: Sequence[Course]) -> list[PolicyRequest]:
        """What the policy is asked; all windows are encoded at once."""
        latents: dict[int, NDArray[np.float32]] = {}
        histories = {course.slot: (course.history, course.step) for course in asking if course.history is not None}
        if histories:
            with self._account.charged("encoder"):
                windows = [history.window(step) for history, step in histories.values()]
                (encoder, _), *_ = histories.values()
                latents = dict(zip(histories, encoder.encode(windows), strict=True))
        requests = []
        for course in asking:
            *past, observation = course.views()
            held = latents.get(course.slot)
            requests.append(PolicyRequest(observation, _language(course), course.flow_seed, tuple(past), held))
        return requests

    def _command(self, course: Course, chunk: NDArray[np.float32]) -> Act:
        try:
            return course.act(chunk)
        except UserError as error:
            cell = self._plan.cell
            raise UserError(
                f"{cell.name(course.unit)}: {error}; check checkpoint {cell.checkpoint} and n_action_steps."
            ) from error

    def _report(self) -> None:
        ledger = self._plan.ledger
        done, total = len(ledger.done), len(ledger.units)
        facts = ""
        if done:
            successes = sum(record.success for record in ledger.done.values())
            rate = wilson(successes, done)
            facts = f"{successes} success{'es' * (successes != 1)}, {rate.low:.0%} to {rate.high:.0%}"
        if self._own:
            facts += f"  {3600 * self._own / self._account.wall:.0f} units/h"
        self._plan.progress.update(done, total, "units", facts)


def _language(course: Course) -> str:
    assert course.scene is not None
    return course.scene.language
