"""Who makes which stage, where several results trees share a remote.

A claim is a small file of the remote that only one can create. It is a lease as in store/leases.py: its holder writes
it anew every ``BEAT_S`` seconds, and it may be taken over when its process is known to be dead, or by the remote's
clock after ``SILENCE_S`` seconds without a beat. A claim is a tree's: its own processes share out a stage by locks and
leases as ever, and one of them goes on holding the claim should another die.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from enum import Enum
from pathlib import Path
from typing import Any

from world_modality.store.leases import BEAT_S, SILENCE_S, is_gone, this_process
from world_modality.trees.identity import tree_name
from world_modality.trees.names import CLAIMS
from world_modality.trees.remote import SharedRemote


class Turn(Enum):
    """Whose it is to make a stage."""

    OURS = "this process's"
    BESIDE = "another process's of this tree"
    THEIRS = "another tree's"


class Claims:
    """The claims of one process."""

    def __init__(self, remote: SharedRemote, root: Path, beat_s: float = BEAT_S, silence_s: float = SILENCE_S) -> None:
        self._remote, self._silence = remote, silence_s
        self._tree = tree_name(root)
        self._note = json.dumps(this_process() | {"owner": uuid.uuid4().hex, "tree": self._tree}).encode()
        self._held: set[str] = set()
        self._beside: set[str] = set()
        self._ended = threading.Event()
        threading.Thread(target=self._beat, args=(beat_s,), daemon=True).start()

    def claim(self, stage: str, key: str) -> Turn:
        """Whose turn it is from now on; RemoteError if nobody can tell."""
        name = _name(stage, key)
        if self._remote.create(name, self._note):
            return self._hold(name)
        note = self._remote.read(name)
        if note is None:  # let go of just now: whoever asks next has it
            return self._hold(name) if self._remote.create(name, self._note) else Turn.THEIRS
        if self._is_abandoned(name, note):
            return self._hold(name) if self._remote.swap(name, note, self._note) else Turn.THEIRS
        if _parse(note).get("tree") == self._tree:
            self._beside.add(name)
            return Turn.BESIDE
        return Turn.THEIRS

    def holder(self, stage: str, key: str) -> str:
        """Who holds a claim, as told to people; "" if nobody does."""
        note = _parse(self._remote.read(_name(stage, key)) or b"")
        return f"process {note['pid']} on {note['host']}" if {"pid", "host"} <= note.keys() else ""

    def claimed(self, stage: str) -> frozenset[str]:
        """Keys of the stages of a kind that somebody claims, alive or not."""
        return frozenset(name.rpartition("/")[2] for name in self._remote.files(f"{CLAIMS}/{stage}/"))

    def release(self, stage: str, key: str) -> None:
        """Let go of a stage. RemoteError if the remote is out of reach: then the claim falls silent by itself."""
        name = _name(stage, key)
        self._beside.discard(name)
        if name in self._held:
            self._held.discard(name)
            if self._remote.read(name) == self._note:  # else it was taken over while we slept
                self._remote.delete([name])

    def close(self) -> None:
        """Let go of everything, and beat no more."""
        self._ended.set()
        for name in list(self._held):
            with contextlib.suppress(Exception):
                self.release(*name.split("/")[1:])

    def _hold(self, name: str) -> Turn:
        self._held.add(name)
        return Turn.OURS

    def _is_abandoned(self, name: str, note: bytes) -> bool:
        with contextlib.suppress(KeyError, TypeError):
            if is_gone(_parse(note)):
                return True
        age = self._remote.age(name)
        return age is not None and age > self._silence

    def _beat(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            for name in list(self._held):
                # Whatever goes wrong once, the next beat may succeed.
                with contextlib.suppress(Exception):
                    if not self._remote.swap(name, self._note, self._note):
                        self._held.discard(name)
            for name in list(self._beside):
                with contextlib.suppress(Exception):
                    if self.claim(*name.split("/")[1:]) is Turn.OURS:
                        self._beside.discard(name)


def _name(stage: str, key: str) -> str:
    return f"{CLAIMS}/{stage}/{key}"


def _parse(note: bytes) -> dict[str, Any]:
    try:
        value = json.loads(note)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
