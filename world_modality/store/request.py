"""One stage to run: everything a process needs to know, nothing about the study around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from world_modality.store.done import Source


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
