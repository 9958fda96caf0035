"""Who works on what, where several processes or machines share a folder.

A lease is a small file that its owner touches every ``BEAT_S`` seconds for as long as it gets on. Another may take it
over when its owner's process is gone, which shows at once on the owner's machine, or after ``SILENCE_S`` seconds
without a touch, be the owner dead on another machine, stopped or stuck. An owner that wakes up later finds out by
asking :meth:`Leases.still_holds` before it writes what it holds the lease for.

How long a lease was not touched tells a clock, and a clock that is set forward would make all owners silent at once.
So whoever takes one over has looked on for two beats, by a clock that nobody sets, and seen no touch either.

Machines see a shared folder late: a listing or a file's age may be what it was a minute ago. Creating and linking are
decided by the server, so whoever holds a lease does so everywhere. What a lease was held for may be seen later than
that it was let go of, so the lease of finished work is left to run out (:meth:`Leases.leave`).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.store.lock import exclusive
from world_modality.store.processes import place, started

SUFFIX, DRAFT = ".lease", ".draft"
BEAT_S = 15.0
SILENCE_S = 120.0
STALL_S = 900.0  # without a sign of the owner itself; loading a large policy or compiling it takes minutes


def this_process() -> dict[str, Any]:
    """What tells this process from every other, and whether it can be looked up from where we are."""
    return {"place": place(), "host": platform.node(), "pid": os.getpid(), "started": started(os.getpid())}


def is_gone(note: Mapping[str, Any]) -> bool:
    """Whether the process that signed a note, as ``this_process`` does, is known to be no more: it can be looked up on
    its own machine alone. KeyError or TypeError for what is no such note."""
    here: bool = note["place"] == place()
    return here and note["started"] is not None and started(note["pid"]) != note["started"]


def remove_drafts(folder: Path) -> None:
    """Remove what owners left in ``folder`` who were killed while they took a lease, which takes a moment.

    A draft goes if its process is known to be no more; one of another machine, or of half a note, once it is older than
    a process at work can be.
    """
    drafts = list(folder.glob(f"*{DRAFT}"))
    if not drafts:
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        now = os.fstat(file.fileno()).st_mtime  # by the file server's clock
    for draft in drafts:
        with contextlib.suppress(OSError):
            if now - draft.stat().st_mtime > STALL_S or _is_of_the_dead(draft.read_text(errors="replace")):
                draft.unlink()


def _is_of_the_dead(text: str) -> bool:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return is_gone(json.loads(text))
    return False


class Leases:
    """The leases of one owner in a shared folder, by name."""

    def __init__(
        self, folder: Path, beat_s: float = BEAT_S, silence_s: float = SILENCE_S, stall_s: float = STALL_S
    ) -> None:
        folder.mkdir(exist_ok=True)  # in a folder that is there: never in what was removed once all was done
        self._folder, self._silence, self._stall = folder, silence_s, stall_s
        self._watch = min(2 * beat_s, silence_s)
        self._note = json.dumps(this_process() | {"owner": uuid.uuid4().hex})
        self._held: set[Path] = set()
        self._look_again: dict[str, float] = {}  # when another's lease can have run out
        self._silent: dict[str, tuple[float, float]] = {}  # its last touch, and since when it is seen to be silent
        self._signed = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._beat, args=(beat_s,), daemon=True).start()

    def claim(self, name: str) -> bool:
        """Hold ``name`` from now on; False while another owner does."""
        self.renew()
        path = self._path(name)
        if self._create(path):
            return True
        if not self._abandoned(path, _read(path)):
            return False
        with exclusive(self._folder / "takeover.lock", lambda: None):
            note = _read(path)
            if not self._abandoned(path, note):
                return False
            if note is not None:  # what was let go of meanwhile may be another's by now: only what is dead is removed
                path.unlink(missing_ok=True)
            return self._create(path)

    def claim_first(self, names: Sequence[str]) -> str | None:
        """Hold the first of ``names`` that nobody holds; None while others hold all of them.

        Those that are known to be held are not asked for one by one: one listing tells which are there, and a lease
        is looked at again only once it can have run out. Elsewhere that is; here its owner may die at any time.
        """
        if names and self._may_have_run_out(names[0]) and self.claim(names[0]):
            return names[0]
        there = {path.stem for path in self._folder.glob("*" + SUFFIX)} if names else set()
        for name in sorted(names, key=there.__contains__):
            if (name not in there or self._may_have_run_out(name)) and self.claim(name):
                return name
        return None

    def _may_have_run_out(self, name: str) -> bool:
        return time.monotonic() >= self._look_again.get(name, 0.0)

    def holds(self, name: str) -> bool:
        """Whether this owner holds ``name``, for all it knows."""
        return self._path(name) in self._held

    def still_holds(self, name: str) -> bool:
        """Look whether this owner still holds ``name``, and renew it: false once another took it over."""
        self.renew()
        return self._renew(self._path(name))

    def holder(self, name: str) -> str | None:
        """Who holds ``name``, as told to a person: a host and a process on it; None if nobody does."""
        text = _read(self._path(name))
        with contextlib.suppress(ValueError, KeyError, TypeError):
            note = json.loads(text or "")
            return f"process {note['pid']} on {note['host']}"
        return None

    def renew(self) -> None:
        """Say that the owner gets on: leases of one that says nothing for ``stall_s`` seconds are not renewed."""
        self._signed = time.monotonic()

    def others(self) -> bool:
        """Whether another owner holds any lease of this folder now, as far as one look tells."""
        paths = (path for path in self._folder.glob("*" + SUFFIX) if path not in self._held)
        return any(not self._abandoned(path, _read(path), at_once=True) for path in paths)

    def release(self, name: str) -> None:
        """Let go of what is finished, or what somebody else may do."""
        self._drop(self._path(name))

    def leave(self, name: str) -> None:
        """Renew what is finished no more, without letting go of it: others may not see yet that it is."""
        self._held.discard(self._path(name))

    def remove(self, name: str) -> None:
        """Remove what anybody left, once no other need be told any more."""
        self._held.discard(self._path(name))
        self._path(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of everything but what was left."""
        self._ended.set()
        for path in list(self._held):
            self._drop(path)

    def _drop(self, path: Path) -> None:
        if path in self._held:
            self._held.discard(path)
            if _read(path) == self._note:  # else it was taken over while we slept
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / (name + SUFFIX)

    def _create(self, path: Path) -> bool:
        """Put the note in place whole, or find one there already."""
        draft = path.with_suffix(f".{uuid.uuid4().hex}{DRAFT}")
        draft.write_text(self._note)
        try:
            os.link(draft, path)
        except FileExistsError:
            if _read(path) != self._note:  # else it is ours: over a network the answer to a first try may be lost
                return False
        finally:
            draft.unlink(missing_ok=True)
        self._held.add(path)
        return True

    def _abandoned(self, path: Path, text: str | None, *, at_once: bool = False) -> bool:
        """Whether nobody holds the lease whose note was read as ``text``; ``at_once`` believes the clock alone."""
        if text is None:
            return True
        elsewhere = True
        with contextlib.suppress(ValueError, KeyError, TypeError):
            note = json.loads(text)
            elsewhere = note["place"] != place()
            if is_gone(note):
                return True
        untouched, touched = self._silence_of(path)
        left = self._silence - untouched
        if left < 0 and not at_once:
            left = self._left_to_watch(path.stem, touched)
        if elsewhere:
            self._look_again[path.stem] = time.monotonic() + left
        return left < 0

    def _left_to_watch(self, name: str, touched: float) -> float:
        """For how many seconds more a silent lease must be looked at; below 0 once that was long enough."""
        now = time.monotonic()
        last, since = self._silent.get(name, (None, now))
        if last != touched:
            since = now
            self._silent[name] = touched, since
        return since + self._watch - now

    def _silence_of(self, path: Path) -> tuple[float, float]:
        """For how many seconds a lease has not been touched, and when it was.

        By the file server's clock, which need not be this machine's; 0 seconds for a lease that is gone by now.
        """
        try:
            touched = path.stat().st_mtime
        except FileNotFoundError:
            return 0.0, 0.0
        with tempfile.TemporaryFile(dir=self._folder) as now:
            return os.fstat(now.fileno()).st_mtime - touched, touched

    def _beat(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            if time.monotonic() - self._signed > self._stall:
                continue
            for path in list(self._held):
                # Whatever goes wrong once, such as a note that another machine damaged: the next beat may succeed, and
                # an owner whose heart stops loses its work to others without knowing why.
                with contextlib.suppress(Exception):
                    self._renew(path)

    def _renew(self, path: Path) -> bool:
        """Touch a lease that is still ours; never another's, whose owner may be dead."""
        if path not in self._held:
            return False
        if _read(path) != self._note:
            self._held.discard(path)
            return False
        try:
            os.utime(path)
        except FileNotFoundError:  # taken over between the two
            self._held.discard(path)
            return False
        return True


def _read(path: Path) -> str | None:
    """The note, None if there is none. One that is damaged is nobody's we know."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None
