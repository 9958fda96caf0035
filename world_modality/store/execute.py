"""Running one stage: lock, look again, run, seal."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TextIO

from world_modality.errors import UserError
from world_modality.store.arithmetic import NATIVE
from world_modality.store.attempts import note_attempt
from world_modality.store.done import read_done
from world_modality.store.failure import forget_failure, note_failure
from world_modality.store.files import remove_leftovers
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.leases import Leases, remove_drafts
from world_modality.store.lock import exclusive, shared
from world_modality.store.machines import Witness
from world_modality.store.progress import LABEL_WIDTH, Progress, format_seconds
from world_modality.store.seal import clean, is_sealed, lacking, seal
from world_modality.store.stage import Facts, StageContext, StageRequest, StageRunner
from world_modality.store.stopwatch import Spent, timed

SEAL_LEASE = "seal"  # the lease of whoever begins or seals a stage that several work on
SEAL_POLL_SECONDS = 0.2  # between looks whether it is free


def execute(
    root: Path,
    request: StageRequest,
    runner: StageRunner,
    *,
    cores: int,
    stream: TextIO,
    gpus: int = 0,
    shared: bool = False,
    waits: bool = True,
) -> bool:
    """Make sure that a stage is sealed; True if this process sealed it.

    Safe to call from any number of processes at any time: one works, the others wait and then find it done. With
    ``shared`` all of them work: the runner shares out what there is to do and calls ``context.begin_sealing`` before it
    writes the artifact, and whoever comes to that first seals the stage. Who does not want to wait, without ``waits``,
    leaves a stage that another works on alone. ``gpus`` is how many this process holds.
    UserError when an upstream result is missing or not whole; what the runner raises passes through and leaves the
    stage as it is, with a note of the reason, to be continued by the next call.
    """
    folder = stage_folder(root, request.stage, request.key)
    witness = Witness(folder.machines, lambda odd: _tell_of_another_machine(request, odd, progress))
    progress = Progress(request.label, stream=stream, last_line=folder.progress, on_update=witness)
    attempt = _Attempt(root, folder, request, cores, gpus, progress, witness)
    try:
        seconds = attempt.beside_others(runner) if shared else attempt.alone(runner, waits=waits)
    except _Busy:
        return False
    if seconds is None:
        clean(folder)
        return False
    attempts = len(folder.attempts.read_text().splitlines())
    over = f" over {attempts} attempts" if attempts > 1 else ""
    progress.say(f"{request.label:<{LABEL_WIDTH}}  done in {format_seconds(seconds)}{over}")
    return True


def _tell_of_another_machine(request: StageRequest, odd: str, progress: Progress) -> None:
    if request.address.get("arithmetic") == NATIVE:
        progress.say(
            f"{request.label:<{LABEL_WIDTH}}  was worked on by a machine that rounds otherwise ({odd}), so its study's "
            "verdict will be withheld: remove it to make it anew here, or set arithmetic: portable"
        )


class _Busy(Exception):
    """Another process works on the stage, and this one does not want to wait."""


class _SealedElsewhere(Exception):
    """Another process has sealed the stage that this one works on."""


class _Attempt:
    """One call of :func:`execute`."""

    def __init__(
        self,
        root: Path,
        folder: StageFolder,
        request: StageRequest,
        cores: int,
        gpus: int,
        progress: Progress,
        witness: Witness,
    ) -> None:
        self._root, self._folder, self._request = root, folder, request
        self._cores, self._gpus, self._progress, self._witness = cores, gpus, progress, witness

    def alone(self, runner: StageRunner, *, waits: bool) -> float | None:
        """Seconds that the stage took, or None if it is sealed already."""
        with exclusive(self._folder.lock, self._tell_that_it_waits if waits else self._leave):
            if is_sealed(self._folder):
                return None
            with self._noting_failure():
                context = self._prepare()
                self._note_start()
                with timed(self._folder.seconds, gpus=self._gpus) as elapsed:
                    try:
                        facts = runner(self._request.spec, context)
                    finally:
                        self._witness()
                    spent = elapsed()
                self._seal(facts, spent)
        return spent.seconds

    def beside_others(self, runner: StageRunner) -> float | None:
        """As ``alone``, beside others. The lock only tells that somebody works: one that hangs keeps nobody waiting.

        Whoever begins or seals holds a lease meanwhile. When one seals, what the others work in is removed: all that
        they could still do is done, so whatever they run into then is no failure.
        """
        with ExitStack() as stack:
            stack.enter_context(shared(self._folder.lock))
            leases = stack.enter_context(closing(Leases(self._folder.path)))
            with self._seal_lease(leases):
                if is_sealed(self._folder):
                    return None
                with self._noting_failure():
                    context = self._prepare(lambda: self._begin_sealing(leases))
                workers = stack.enter_context(closing(Leases(self._folder.workers, stall_s=inf)))
                self._note_start(joins=workers.others())
                workers.claim(uuid.uuid4().hex)
            with timed(self._folder.seconds, gpus=self._gpus) as elapsed:
                facts = self._run_unless_sealed(runner, context, leases)
                spent = elapsed()
            if facts is None:
                return None
            with self._noting_failure():
                self._seal(facts, spent)
        return spent.seconds

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            note_failure(self._folder, error)
            raise

    def _run_unless_sealed(self, runner: StageRunner, context: StageContext, leases: Leases) -> Facts | None:
        """The runner's facts once it is this process's turn to seal; None if another did."""
        try:
            facts = runner(self._request.spec, context)
            self._begin_sealing(leases)
        except _SealedElsewhere:
            return None
        except Exception as error:
            with self._seal_lease(leases):
                if is_sealed(self._folder):
                    return None
                self._witness()
                note_failure(self._folder, error)
            raise
        return facts

    def _begin_sealing(self, leases: Leases) -> None:
        """Wait for the turn and keep it."""
        self._acquire_seal_lease(leases)
        if is_sealed(self._folder):
            raise _SealedElsewhere

    @contextmanager
    def _seal_lease(self, leases: Leases) -> Iterator[None]:
        self._acquire_seal_lease(leases)
        try:
            yield
        finally:
            leases.release(SEAL_LEASE)

    def _acquire_seal_lease(self, leases: Leases) -> None:
        while not (leases.still_holds(SEAL_LEASE) or leases.claim(SEAL_LEASE)):
            time.sleep(SEAL_POLL_SECONDS)

    def _seal(self, facts: Facts, spent: Spent) -> None:
        attempts = len(self._folder.attempts.read_text().splitlines())
        seal(self._folder, self._request, facts, spent.seconds, attempts, self._cores, spent.gpu_seconds)

    def _prepare(self, begin_sealing: Callable[[], None] | None = None) -> StageContext:
        inputs: dict[str, tuple[Path, ...]] = {}
        keys: dict[str, tuple[str, ...]] = {}
        for each in self._request.inputs:
            source = stage_folder(self._root, each.stage, each.key)
            record = read_done(source.done)
            if record is None:
                raise UserError(f"needs {source.path}, which is not sealed; run it through snakemake or `wm run`")
            if lost := lacking(source, record):
                raise UserError(
                    f"needs {source.path} ({record.label}), which is not whole any more: artifact/{lost} is missing or "
                    "has another size; call `wm resume`, which sets the stage aside and makes it anew"
                )
            path = source.artifact / each.folder if each.folder else source.artifact
            inputs[each.role] = (*inputs.get(each.role, ()), path.resolve())
            keys[each.role] = (*keys.get(each.role, ()), each.key)
        folder = self._folder
        folder.artifact.mkdir(exist_ok=True)
        folder.volatile.mkdir(exist_ok=True)
        folder.work.mkdir(exist_ok=True)
        if begin_sealing is None:  # else another process may be writing one of them; sealing removes what is left
            remove_leftovers(folder.path)
        remove_drafts(folder.path)
        context = StageContext(
            key=self._request.key,
            artifact=folder.artifact.resolve(),
            volatile=folder.volatile.resolve(),
            work=folder.work.resolve(),
            inputs=inputs,
            input_keys=keys,
            progress=self._progress,
            cores=self._cores,
        )
        return context if begin_sealing is None else replace(context, begin_sealing=begin_sealing)

    def _note_start(self, *, joins: bool = False) -> None:
        """Count an attempt, unless this process lends others a hand; the first line also tells when all began."""
        forget_failure(self._folder)
        if not (joins and self._folder.attempts.exists()):
            note_attempt(self._folder.attempts, self._cores)

    def _tell_that_it_waits(self) -> None:
        self._progress.say(f"{self._request.label:<{LABEL_WIDTH}}  waits: another process works on it")

    def _leave(self) -> None:
        raise _Busy
