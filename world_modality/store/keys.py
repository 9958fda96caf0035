"""What follows from its parts alone, the same on every machine: the address of a result, and the seed of a draw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

KEY_LENGTH = 16


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, no NaN. Tuples count as lists."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """First 16 hex digits of sha256 over the canonical JSON of ``value``."""
    return text_digest(canonical_json(value))


def text_digest(text: str) -> str:
    """First 16 hex digits of sha256 over a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def stage_key(
    stage: str,
    version: int,
    software: Mapping[str, str],
    address: Mapping[str, Any],
    upstream: Sequence[tuple[str, str]],
) -> str:
    """The key of a stage's result.

    Args:
        stage: kind of stage, e.g. "train".
        version: of the stage's meaning, bumped by hand.
        software: versions of the packages whose numbers the result depends on.
        address: the stage's slice of the study.
        upstream: (role, key) of the results it reads, in the order in which it reads them.
    """
    return digest_of(
        {
            "stage": stage,
            "version": version,
            "software": dict(software),
            "spec": dict(address),
            "upstream": [list(each) for each in upstream],
        }
    )


def keyed_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on ``parts`` and their order alone, the same on every machine and run.

    >>> keyed_seed("flow", 3, 7) == keyed_seed("flow", 3, 7)
    True
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
