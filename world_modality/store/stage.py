"""One stage to run: what is asked of it, what its function is given, and what that gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from world_modality.store.done import Source
from world_modality.store.progress import Progress

Facts = Mapping[str, Any]
"""Small JSON-serialisable summary that a stage puts into its DONE.json (counts), never a result or a time."""

SEALED = "sealed"
"""The context in which a spec is written into a record: equal results have equal ones, wherever they were made."""

TIMING = "timing.json"
"""Where a stage may note in its ``volatile`` folder how fast it went."""


@dataclass(frozen=True)
class StageContext:
    """A stage's place on disk while it runs, under its lock.

    ``artifact`` is sealed when the stage returns: every file below it is digested into DONE.json, and is the same
    whenever, wherever and in however many attempts the stage is run.
    ``volatile`` takes what is not, such as times. It survives a crash, too.
    ``work`` survives a crash (checkpoints, shards, partial records) and is removed after sealing.
    ``begin_sealing`` is called before the artifact is written, by stages that several processes may work on at once.
    ``inputs`` maps a role ("dataset", "policy", ...) to the sealed artifact folders of that role, in the graph's order,
    ``input_keys`` to the keys of their stages.
    """

    key: str
    artifact: Path
    volatile: Path
    work: Path
    inputs: Mapping[str, tuple[Path, ...]]
    progress: Progress
    cores: int
    begin_sealing: Callable[[], None] = lambda: None
    input_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def one(self, role: str) -> Path:
        """The only input of a role; KeyError or ValueError if there is none or several."""
        (path,) = self.inputs[role]
        return path


StageRunner = Callable[[Any, StageContext], Facts]
"""``run(spec, context) -> facts``: every stage's entry point, e.g. ``world_modality.latents.stage.run``."""


@dataclass(frozen=True)
class Input:
    """A result that a stage reads, in the role it plays there."""

    role: str
    stage: str
    key: str
    folder: str = ""  # part of the artifact that is handed over; "" for all of it

    @property
    def source(self) -> Source:
        """As DONE.json names it."""
        return Source(role=self.role, stage=self.stage, key=self.key)


@dataclass(frozen=True)
class StageRequest:
    """A stage with its key. ``spec`` is what the runner gets, ``address`` what of it entered the key."""

    stage: str
    key: str
    version: int
    label: str
    spec: BaseModel
    address: Mapping[str, Any]
    software: Mapping[str, str]
    inputs: tuple[Input, ...]
