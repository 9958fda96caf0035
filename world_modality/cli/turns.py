"""Which of a study's stages a helper works on next, where a thousand helpers share a results folder.

Every look at a shared folder takes its time, and the file server's. So each helper goes through the stages in an order
of its own, takes the first that nobody works on, and never looks again at what is sealed. What it has found sealed it
notes for the others: at a study's end each would otherwise look at every stage there is.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from random import Random

from world_modality.facts.stages import STAGES
from world_modality.store.files import read_object, write_json
from world_modality.store.index import sealed_done
from world_modality.store.layout import seen_sealed_file, stage_folder
from world_modality.store.lock import is_locked
from world_modality.store.stage import Input, StageRequest
from world_modality.study.graph import Graph

ENOUGH = 32  # stages that others work on, one after the other, until it is better to help than to look further
SEALED = "sealed"  # in the note


class Turns:
    """The stages that several may work on, as one helper takes them."""

    def __init__(self, root: Path, graph: Graph, order: Random) -> None:
        self._root, self._order = root, order
        self._note = seen_sealed_file(root, graph.study)
        self._kinds = {kind.name: list(graph.of(kind.name)) for kind in STAGES if kind.shared}
        self._keys = {request.key for requests in self._kinds.values() for request in requests}
        self._left = {kind: deque(order.sample(requests, len(requests))) for kind, requests in self._kinds.items()}
        self._sealed: set[str] = set()
        self._made: set[str] = set()  # inputs that are there

    def left(self, kind: str) -> int:
        """How many stages of a kind are not sealed, as far as this helper knows."""
        return sum(request.key not in self._sealed for request in self._left[kind])

    def next(self) -> StageRequest | None:
        """A stage with all that it reads, of the earliest kind of which there is any; None if there is none now.

        One that nobody works on, if there is any among those that are looked at; else one of those that others are at.
        """
        self._exchange()
        absent: set[str] = set()  # inputs, as seen in this look
        for requests in self._left.values():
            busy: list[StageRequest] = []
            for _ in range(len(requests)):
                request = requests.popleft()
                if self._is_sealed(request):
                    continue
                requests.append(request)
                if not all(self._is_made(each, absent) for each in request.inputs):
                    continue
                if not is_locked(stage_folder(self._root, request.stage, request.key).lock):
                    return request
                busy.append(request)
                if len(busy) == ENOUGH:
                    break
            if busy:
                return self._order.choice(busy)
        return None

    def sealed(self, request: StageRequest) -> None:
        """A stage that this helper worked on is sealed."""
        self._sealed.add(request.key)

    def _exchange(self) -> None:
        """Learn what others have found sealed, and tell what they have not.

        Two that write at once lose what one of them tells, until it writes again.
        """
        noted = set(read_object(self._note).get(SEALED, ()))
        if self._sealed - noted:
            write_json(self._note, {SEALED: sorted(self._sealed | noted)})
        self._sealed |= noted & self._keys

    def _is_sealed(self, request: StageRequest) -> bool:
        if request.key not in self._sealed and self._done(request.stage, request.key):
            self._sealed.add(request.key)
        return request.key in self._sealed

    def _is_made(self, source: Input, absent: set[str]) -> bool:
        if source.key not in self._made and source.key not in absent:
            (self._made if self._done(source.stage, source.key) else absent).add(source.key)
        return source.key in self._made

    def _done(self, stage: str, key: str) -> bool:
        return sealed_done(stage_folder(self._root, stage, key)) is not None
