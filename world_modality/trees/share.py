"""One study, several trees, one remote: what is sealed there is fetched, what somebody makes is waited for, and only
what nobody has or makes is made here, and then pushed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from world_modality.store.index import sealed_done
from world_modality.store.layout import stage_folder
from world_modality.store.progress import LABEL_WIDTH
from world_modality.store.stage import StageRequest
from world_modality.trees.arrival import Busy
from world_modality.trees.claims import Claims, Turn
from world_modality.trees.names import done_name
from world_modality.trees.plans import pull_plans, push_plans
from world_modality.trees.remote import RemoteError, SharedRemote, require_exclusive
from world_modality.trees.transfer import pull_sealed, push_sealed
from world_modality.trees.unfinished import pull_unfinished

POLL_S = 5.0  # at most between looks whether a stage that others make is sealed
SOONEST = 0.05  # of that, at first: some stages take a second
Say = Callable[[str], None]


class Share:
    """A process's part in it."""

    def __init__(self, remote: SharedRemote, root: Path, claims: Claims, poll_s: float = POLL_S) -> None:
        self._remote, self._root, self._poll = remote, root, poll_s
        self.claims = claims
        self._tried = False  # whether the remote was, if claims count there

    def make(
        self,
        request: StageRequest,
        work: Callable[[], object],
        say: Say,
        *,
        waits: bool = True,
        meantime: Callable[[], bool] = lambda: False,
    ) -> None:
        """Have a stage sealed here and in the remote.

        Args:
            work: makes the stage in this tree, unless another process of the tree has.
            say: tells a person.
            waits: whether to stay while another tree makes it.
            meantime: called while it does; true if it did something, so that no time has passed idly.

        Raises:
            Refused: what the remote holds is damaged, or disagrees with what is here.
            UserError: the remote cannot be shared.
            OSError: files of this tree fail.
            Exception: what ``work`` raises.
        """
        told, patience = _Once(say), _Patience(self._poll)
        stage, key = request.stage, request.key
        while not self._is_sealed(request):
            try:
                turn = self._turn(request, told)
            except RemoteError as error:
                told(f"{request.label}: {error}; tried again until it answers")
                time.sleep(self._poll)
                continue
            except Exception:  # of this tree's files, or of what is there: others may do better
                with contextlib.suppress(RemoteError):
                    self.claims.release(stage, key)
                raise
            if turn is None:
                continue
            if turn is not Turn.THEIRS:
                try:
                    work()
                    self._push(request, told)
                finally:
                    with contextlib.suppress(RemoteError):
                        self.claims.release(stage, key)
                return
            if not waits:
                return
            told(f"{request.label}: waits for {self._holder(request)}, who makes it for {self._remote.title}")
            with contextlib.suppress(RemoteError):  # it looks there for what nobody claims
                if meantime():
                    continue
            patience.wait()
        work()  # which finds it sealed, and puts a record back that Snakemake removed before it began the job
        self._push(request, told)

    def _turn(self, request: StageRequest, say: Say) -> Turn | None:
        """Whose turn it is; None if the stage was fetched, or is to be looked at again."""
        try:
            if pull_sealed(self._remote, self._root, request.stage, request.key, lambda _bytes: None):
                say(f"{request.label:<{LABEL_WIDTH}}  fetched from {self._remote.title}")
                return None
        except Busy:  # it began before the stage was sealed there
            say(f"{request.label}: waits for another process here that works on it")
            time.sleep(self._poll)
            return None
        if not self._tried:
            require_exclusive(self._remote)
            self._tried = True
        turn = self.claims.claim(request.stage, request.key)
        if turn is Turn.THEIRS:
            return turn
        if self._remote.read(done_name(request.stage, request.key)) is not None:  # sealed by whoever let go just now
            self.claims.release(request.stage, request.key)
            return None
        if turn is Turn.OURS:
            pull_unfinished(self._remote, self._root, request.stage, request.key, lambda _bytes: None)
        if request.stage == "report":
            pull_plans(self._remote, self._root)
        if request.stage == "rollout":
            push_plans(self._remote, self._root)
        return turn

    def _push(self, request: StageRequest, told: Say) -> None:
        """Until it is there: a stage that others cannot see they would make again."""
        while self._is_sealed(request):
            try:
                push_sealed(self._remote, self._root, request.stage, request.key, lambda _bytes: None)
                return
            except RemoteError as error:
                told(f"{request.label} is sealed and not pushed yet: {error}; tried again until it answers")
                time.sleep(self._poll)

    def _holder(self, request: StageRequest) -> str:
        with contextlib.suppress(RemoteError):
            return self.claims.holder(request.stage, request.key) or "another tree"
        return "another tree"

    def _is_sealed(self, request: StageRequest) -> bool:
        return sealed_done(stage_folder(self._root, request.stage, request.key)) is not None


class _Patience:
    """Waits a little longer each time."""

    def __init__(self, most: float) -> None:
        self._most, self._next = most, SOONEST * most

    def wait(self) -> None:
        time.sleep(self._next)
        self._next = min(self._most, 1.5 * self._next)


class _Once:
    """Says each thing once."""

    def __init__(self, say: Say) -> None:
        self._say, self._said = say, set[str]()

    def __call__(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)
