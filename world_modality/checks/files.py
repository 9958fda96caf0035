"""Is a dataset whole: are its files, its episodes and its statistics all there?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from world_modality.checks.features import DATA
from world_modality.checks.finding import Finding
from world_modality.data.consistency import Fault, bound_faults, text_fault
from world_modality.data.description import STATISTICS, Description
from world_modality.data.schema import ACTION, STATE
from world_modality.errors import UserError

NORMALISED = (STATE, ACTION)
MOMENTS = ("mean", "std", "min", "max")


def file_findings(description: Description, *, whole: bool = True) -> Iterator[Finding]:
    """Errors of a dataset of which something is missing, by what its metadata promises.

    ``whole``: also of its data and videos, which otherwise need not be here yet.
    """
    if not description.rows:
        yield Finding("error", DATA, "meta/episodes", "there are no episodes: record or fetch some first")
        return
    lacking = description.lacking if whole else ()
    if lacking:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        message = f"the file is missing{more}: the dataset is not complete, fetch it again"
        yield Finding("error", DATA, lacking[0], message)
        return
    yield from map(as_error, bound_faults(description))
    yield from statistics_findings(description, finite=not whole)
    fault = text_fault(description) if whole or not description.lacking else None
    if fault is not None:
        yield as_error(fault)


def statistics_findings(description: Description, *, finite: bool) -> Iterator[Finding]:
    """Whether ``meta/stats.json`` has statistics, of the right size, of all that is normalised.

    ``finite``: also whether they are finite. Where frames are there, these tell why they are not.
    """
    try:
        statistics = description.statistics
    except UserError as error:
        yield Finding("error", DATA, STATISTICS, f"{error}: policies are normalised with its numbers")
        return
    for name in NORMALISED:
        if name not in description.features:
            continue
        size = description.features[name]["shape"]
        for kind in MOMENTS:
            values = statistics.get(name, {}).get(kind)
            fault = "are missing" if values is None else _fault(values, size, finite=finite)
            if fault:
                yield Finding(
                    "error", DATA, STATISTICS, f"{name}: {kind} {fault}: compute the dataset's statistics again"
                )
                break


def _fault(values: Any, size: list[int], *, finite: bool) -> str | None:
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        return "is no list of numbers"
    if list(numbers.shape) != size:
        return f"has {'x'.join(map(str, numbers.shape))} numbers, not {'x'.join(map(str, size))}"
    return "is not finite" if finite and not np.isfinite(numbers).all() else None


def as_error(fault: Fault) -> Finding:
    """A fault of a dataset as an error in a study's data."""
    return Finding("error", DATA, fault.where, fault.message)
