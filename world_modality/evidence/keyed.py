"""One spelling per value, its digest, and random generators that depend on a name alone."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

DIGEST_LENGTH = 16


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, no NaN; tuples count as lists."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """First 16 hex digits of sha256 over the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_LENGTH]


def keyed_generator(*parts: int | str) -> np.random.Generator:
    """A generator that depends on ``parts`` and their order alone, the same on every machine and run.

    >>> int(keyed_generator("bootstrap", 3).integers(1000)) == int(keyed_generator("bootstrap", 3).integers(1000))
    True
    """
    return np.random.default_rng(int.from_bytes(hashlib.sha256(canonical_json(parts).encode()).digest(), "big"))
