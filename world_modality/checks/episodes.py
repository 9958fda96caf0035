"""Are a dataset's episodes different ones, and others than those that policies are evaluated on?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.checks.numbers import Motion

SHORTEST = 2  # frames, of which anything can be learned


def repetition_findings(motion: Motion, texts: Sequence[str]) -> Iterator[Finding]:
    """Warnings about episodes that are there more than once, or too short."""
    edges = [0, *map(int, motion.ends)]
    first: dict[str, int] = {}
    twins = []
    for number, (start, end) in enumerate(pairwise(edges)):
        digest = hashlib.sha256(texts[number].encode())
        for numbers in motion.numbers.values():
            digest.update(np.ascontiguousarray(numbers[start:end]).tobytes())
        earlier = first.setdefault(digest.hexdigest(), number)
        if earlier != number:
            twins.append((number, earlier))
    if twins:
        yield Finding(
            "warning",
            DATA,
            f"episode {twins[0][0]}",
            f"its states and actions are those of episode {twins[0][1]} ({len(twins)} of {len(texts)} episodes are "
            "repeated): they count twice, and what is held out may have been trained on; leave them out",
        )
    lengths = np.diff(edges)
    short = np.flatnonzero(lengths < SHORTEST)
    if short.size:
        yield Finding(
            "warning",
            DATA,
            f"episode {short[0]}",
            f"it has {lengths[short[0]]} frame ({short.size} of {len(texts)} episodes are so short): leave them out",
        )


def shared_findings(
    provenance: Iterable[Mapping[str, Any]], places: Iterable[tuple[str, int]], init_states: Iterable[int]
) -> Iterator[Finding]:
    """A warning where recorded episodes start from initial states of the evaluation.

    Args:
        provenance: "suite", "task" and "init_state" of the data's episodes, as far as they are known.
        places: suite and task of what is evaluated.
        init_states: that it starts from.
    """
    evaluated, states = set(places), set(init_states)
    shared = [
        row
        for row in provenance
        if (row.get("suite"), row.get("task")) in evaluated and row.get("init_state") in states
    ]
    if shared:
        numbers = sorted({int(row["init_state"]) for row in shared})
        yield Finding(
            "warning",
            DATA,
            "provenance.parquet",
            f"{len(shared)} episodes start from initial states that are evaluated, too "
            f"({', '.join(map(str, numbers[:8]))}): choose others in rollouts.init_states",
        )
