"""Names in a remote: those of a results tree's files, and those that lie beside it there. Others are never taken."""

from __future__ import annotations

import re
from typing import NamedTuple

from world_modality.facts.stages import STAGES
from world_modality.store.keys import KEY_LENGTH
from world_modality.store.layout import SEALED_PLANS

DONE, SEAL, ATTEMPTS, LOG = "DONE.json", "seal.json", "attempts.txt", "log.txt"
PLANS, UNFINISHED, CLAIMS = SEALED_PLANS, "unfinished", "claims"
"""Folders of a remote beside those of the stages."""

_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
_LONGEST, _LONGEST_PART = 1000, 240  # bytes; a draft's name is a little longer than its file's


class Place(NamedTuple):
    """A file of a stage."""

    stage: str
    key: str
    rest: str  # below the stage's folder


def is_safe(name: str) -> bool:
    """Whether a relative path stays below the folder that it is relative to, on every system."""
    parts = name.split("/")
    return (
        len(name.encode(errors="replace")) <= _LONGEST
        and name.isprintable()
        and not set(name) & set("\\:")
        and all(part not in ("", ".", "..") and len(part.encode()) <= _LONGEST_PART for part in parts)
    )


def place_of(name: str) -> Place | None:
    """Which stage's file a name of a remote is; None for any other, and for one that is not safe."""
    stage, _, rest = name.partition("/")
    key, _, rest = rest.partition("/")
    known = is_safe(name) and stage in STAGES.names and is_key(key) and rest
    return Place(stage, key, rest) if known else None


def is_key(text: str) -> bool:
    """Whether a stage, or a results tree, could be called so."""
    return _KEY.fullmatch(text) is not None


def done_name(stage: str, key: str) -> str:
    """The record whose presence makes a stage sealed in a remote."""
    return f"{stage}/{key}/{DONE}"


def is_plan(name: str) -> bool:
    """Whether a name is that of a sealed plan: ``sealed-plans/<study>/<plan>.json``."""
    return is_safe(name) and name.startswith(f"{PLANS}/") and name.count("/") == 2 and name.endswith(".json")
