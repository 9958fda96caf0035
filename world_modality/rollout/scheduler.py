"""Many episodes at once: simulator processes that never wait for a slow one, and one policy that answers in batches."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.evidence.rates import wilson
from world_modality.policies.contract import Policy, PolicyLost, PolicyRequest
from world_modality.rollout.ahead import LookAhead, looks_ahead, requests_of
from world_modality.rollout.cell import Cell
from world_modality.rollout.episodes import Episode
from world_modality.rollout.messages import Act, Ahead, Broke, Did, Refused
from world_modality.rollout.pool import Died, Heard, Pool
from world_modality.rollout.records import Ledger
from world_modality.rollout.timing import LOOK_AHEAD, TimeAccount
from world_modality.rollout.trajectory import History, Trajectory
from world_modality.rollout.tuning import Trial, tune
from world_modality.store.progress import Progress

MAX_ATTEMPTS = 3
LISTEN_SECONDS = 1.0  # between looks at the clock while nothing is heard
CALIBRATION = 8  # chunks that are measured before the number of episodes at once is settled
SHARE_SECONDS = 2.0  # between looks whether others have finished what they hold,
MOST_SHARE_SECONDS = 16.0  # where one look after the other finds nothing to do


@dataclass(frozen=True)
class Scheduler:
    """Rolls out a ledger's episodes, ``slots`` at a time; a slot gets the next free episode as soon as its last is
    over."""

    cell: Cell
    ledger: Ledger
    policy: Policy
    new_history: Callable[[], History] | None  # a fresh one per episode; None if no frame is ever encoded
    progress: Progress
    slots: int | None = None  # episodes at once; by default two per simulator process, tuned after the first chunks

    def run(self, pool: Pool) -> TimeAccount:
        """Work until every episode has a record, whoever made it; what took how long.

        Raises:
            UserError: one episode's simulator crashed, or its policy was lost, ``MAX_ATTEMPTS`` times, the simulator
                refuses the study, or the policy gives no usable actions. Finished episodes stay in the ledger.
        """
        return _Run(self, pool).run()


class _Run:
    """The state of :meth:`Scheduler.run`."""

    def __init__(self, plan: Scheduler, pool: Pool) -> None:
        self._plan, self._pool = plan, pool
        self._trajectories: dict[int, Trajectory] = {}
        self._waiting: list[Trajectory] = []  # for a chunk, longest first
        self._looks: dict[int, LookAhead] = {}  # by slot, of queries that are told of what comes
        self._orphans: set[Trajectory] = set()  # begun with a policy that is lost, to begin again when heard of
        self._crashes: defaultdict[Episode, list[str]] = defaultdict(list)
        self._account = TimeAccount()
        self._own = 0  # episodes that were finished here
        self._slots = plan.slots or 2 * pool.workers
        self._tuned = plan.slots is not None
        self._pause, self._ask_again = SHARE_SECONDS, 0.0  # when to look again for an episode that nobody holds

    def run(self) -> TimeAccount:
        """See :meth:`Scheduler.run`."""
        ledger = self._plan.ledger
        self._report()
        while len(ledger.done) < len(ledger.episodes):
            ledger.renew()
            self._fill()
            if not self._trajectories:  # others hold what is left
                time.sleep(max(0.0, self._ask_again - time.monotonic()))
                ledger.refresh()
                self._report()
                continue
            for event in self._pool.receive(0 if self._due() else LISTEN_SECONDS):
                self._take(event)
            if self._due():
                self._answer()
        return self._account

    def _fill(self) -> None:
        """Give every free slot an episode, as long as there are any.

        Towards the end fewer slots are filled, down to one per process: a process that has taken several episodes would
        still be at them when the others have nothing left. Where others hold what is left, they are asked again after a
        while only: every request reads their leases.
        """
        if time.monotonic() < self._ask_again:
            return
        ledger = self._plan.ledger
        left = len(ledger.episodes) - len(ledger.done) - len(self._trajectories)
        for slot in range(min(self._slots, max(self._pool.workers, left))):
            if slot not in self._trajectories:
                episode = self._plan.ledger.claim()
                if episode is None:
                    self._ask_again = time.monotonic() + self._pause
                    self._pause = min(2 * self._pause, MOST_SHARE_SECONDS)
                    return
                self._pause = SHARE_SECONDS
                self._begin(slot, episode)

    def _begin(self, slot: int, episode: Episode) -> None:
        plan = self._plan
        history = plan.new_history() if plan.new_history else None
        trajectory = Trajectory(
            slot,
            episode,
            plan.cell.environment_seed(episode),
            plan.cell.suite,
            plan.cell.n_action_steps,
            plan.cell.horizon,
            plan.policy.past_steps,
            history,
            time.monotonic(),
        )
        self._trajectories[slot] = trajectory
        self._pool.send(trajectory.begin())

    def _take(self, event: Heard | Died) -> None:
        if isinstance(event, Died):
            for slot in event.lost:
                self._restart(self._trajectories[slot])
            if event.slot is not None:
                self._crashed(self._trajectories[event.slot], event.reason)
        elif isinstance(event.answer, Refused):
            raise UserError(event.answer.reason)
        elif isinstance(event.answer, Broke):
            self._crashed(self._trajectories[event.answer.slot], event.answer.reason)
        else:
            self._advance(self._trajectories[event.answer.slot], event.answer)

    def _advance(self, trajectory: Trajectory, did: Did) -> None:
        look = self._looks.get(trajectory.slot)
        if look is not None:
            self._account.add_ahead(did)
            look.advance(did)
        else:
            self._account.add(did)
            trajectory.advance(did)
        if not trajectory.over:
            if trajectory in self._orphans:
                self._restart(trajectory)
            else:
                self._wait(trajectory)
            return
        self._account.ended(trajectory)
        self._orphans.discard(trajectory)
        del self._trajectories[trajectory.slot]
        self._pool.finished(trajectory.slot)
        self._own += self._plan.ledger.append(self._plan.cell.record(trajectory, self._crashes[trajectory.episode]))
        self._report()

    def _wait(self, trajectory: Trajectory) -> None:
        """Let an episode wait for a chunk; where the expert looks ahead for it, it does so first."""
        if looks_ahead(trajectory) and trajectory.slot not in self._looks:
            look = self._looks[trajectory.slot] = LookAhead(trajectory)
            if not look.by_policy:
                self._pool.send(look.command(None))
                return
        self._waiting.append(trajectory)

    def _crashed(self, trajectory: Trajectory, reason: str, what: str = "the simulator crashed") -> None:
        """Run an episode again: a crash is missing data, never a failure."""
        crashes = self._crashes[trajectory.episode]
        crashes.append(reason)
        if len(crashes) == MAX_ATTEMPTS:
            raise UserError(
                f"{what} {MAX_ATTEMPTS} times on {self._plan.cell.name(trajectory.episode)} "
                f"(last: {reason}); finished episodes are kept: repair the cause and run again."
            )
        self._restart(trajectory)

    def _lost(self, asking: Sequence[Trajectory], reason: str) -> None:
        """The policy went away while it was asked. All episodes that it has planned for are run again, since what
        computes it now need not go on as it would have; those that end before they ask again are whole."""
        begun = {trajectory for trajectory in self._trajectories.values() if trajectory.replans}
        self._orphans = begun - {*asking, *self._waiting}
        for trajectory in [each for each in self._waiting if each in begun]:
            self._restart(trajectory)
        for trajectory in asking:
            self._crashed(trajectory, reason, "the policy was lost")

    def _restart(self, trajectory: Trajectory) -> None:
        if trajectory in self._waiting:
            self._waiting.remove(trajectory)
        self._orphans.discard(trajectory)
        self._looks.pop(trajectory.slot, None)
        self._begin(trajectory.slot, trajectory.episode)

    def _due(self) -> bool:
        """Whether to answer now: a full batch waits, or a simulator has nothing to do until it is answered."""
        return len(self._waiting) >= self._plan.policy.batch or (bool(self._waiting) and self._pool.idle())

    def _answer(self) -> None:
        """Plan for those that wait longest, have one task and ask for one thing, as many as a batch takes."""
        kind = self._asked(self._waiting[0])
        asking = [trajectory for trajectory in self._waiting if self._asked(trajectory) == kind][
            : self._plan.policy.batch
        ]
        chosen = {trajectory.slot for trajectory in asking}
        self._waiting = [trajectory for trajectory in self._waiting if trajectory.slot not in chosen]
        looking = kind[1]
        requests = self._requests(asking, looking=looking)
        try:
            with self._account.charged(LOOK_AHEAD if looking else "policy", self._plan.policy.clock):
                chunks = self._plan.policy.infer(requests)
        except PolicyLost as lost:
            self._lost(asking, str(lost))
            return
        for trajectory, chunk in zip(asking, chunks, strict=True):
            self._pool.send(self._command(trajectory, chunk))
        if looking:
            return
        self._account.answered(len(requests))
        if self._looks:
            self._tuned = True  # a query costs more than is measured
        for slot in chosen:
            self._looks.pop(slot, None)
        if not self._tuned and self._account.chunks >= CALIBRATION and self._account.batches > 1:
            self._tune(requests[0])

    def _tune(self, request: PolicyRequest) -> None:
        """Fit the number of episodes at once to what the first chunks cost; no result depends on it.

        The number of rows does decide results, so a better one is only told.
        """
        policy = self._plan.policy
        measured = self._account.measured(policy.batch, self._plan.cell.n_action_steps)
        rows = 1 if policy.batch > 1 else 2
        try:
            with self._account.charged("policy", policy.clock):
                trial = Trial(rows, policy.trial(request, rows))
        except PolicyLost as lost:
            self._lost((), str(lost))
            return
        tuning = tune(measured, trial, self._pool.workers)
        self._plan.progress.say(f"{self._plan.progress.label}  {tuning.sentence()}")
        self._slots, self._tuned = tuning.slots, True

    def _asked(self, trajectory: Trajectory) -> tuple[str, bool]:
        """What those have in common that can be answered at once: the task, and whether they look ahead."""
        return _language(trajectory), self._is_looking(trajectory)

    def _is_looking(self, trajectory: Trajectory) -> bool:
        """Whether an episode that waits has not yet seen what its memory is to hold."""
        look = self._looks.get(trajectory.slot)
        return look is not None and not look.over

    def _requests(self, asking: Sequence[Trajectory], *, looking: bool) -> list[PolicyRequest]:
        """What the policy is asked; all windows are encoded at once, and all that comes."""
        looks = [self._looks[trajectory.slot] for trajectory in asking if trajectory.slot in self._looks]
        if looking:
            with self._account.charged(LOOK_AHEAD):
                return requests_of([look.trajectory for look in looks], zero_memory=True)
        futures: Sequence[NDArray[np.float32]] = ()
        if looks:
            with self._account.charged(LOOK_AHEAD):
                futures = LookAhead.futures(looks)
        with self._account.charged("encoder"):
            return requests_of(asking, futures=futures)

    def _command(self, trajectory: Trajectory, chunk: NDArray[np.float32]) -> Act | Ahead:
        try:
            look = self._looks.get(trajectory.slot)
            return trajectory.act(chunk) if look is None or look.over else look.command(chunk)
        except UserError as error:
            cell = self._plan.cell
            raise UserError(
                f"{cell.name(trajectory.episode)}: {error}; check checkpoint {cell.checkpoint} and n_action_steps."
            ) from error

    def _report(self) -> None:
        ledger = self._plan.ledger
        done, total = len(ledger.done), len(ledger.episodes)
        facts = ""
        if done:
            successes = sum(record.success for record in ledger.done.values())
            rate = wilson(successes, done)
            facts = f"{successes} success{'es' * (successes != 1)}, {rate.low:.0%} to {rate.high:.0%}"
        if self._own:
            facts += f"  {3600 * self._own / self._account.wall:.0f} episodes/h{self._account.ahead_told()}"
        self._plan.progress.update(done, total, "episodes", facts)


def _language(trajectory: Trajectory) -> str:
    assert trajectory.scene is not None
    return trajectory.scene.language
