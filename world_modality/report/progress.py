"""Progress per episode, and the distance to its goal, beside success: secondary. No verdict hangs on either.

Each is an outcome, never a covariate of its own arm: what an arm got done is what its memory did to it. Nor would
another arm's outcome on the same scene, or the distance at its start, help as one: both arms meet the same scenes, so a
line fitted through the scenes' differences against any number that a scene has leaves their mean as it is, and the mean
over scenes like these is not known any better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from world_modality.evidence.graded import graded_difference
from world_modality.evidence.plan import Claim
from world_modality.report.claims import task_number
from world_modality.report.judgement import rounded
from world_modality.report.results import Results, Trial
from world_modality.report.text import points_text
from world_modality.rollout.records import Record
from world_modality.study.specs import ReportSpec

PROGRESS_HEADER = ["claim", "progress", "progress of the control", "points [interval]", "paired episodes", "scenes"]
NOTE = (
    "Secondary, of these checkpoints: no verdict hangs on it. Progress is the share of a goal's parts that held when "
    "an episode ended, 100% of a success."
)

DISTANCE_HEADER = ["claim", "way left", "way left of the control", "points [interval]", "paired episodes", "scenes"]
DISTANCE_NOTE = (
    "Secondary, of these checkpoints: no verdict hangs on it. Of each part of a goal the distance that is left, in "
    "percent of the distance at the start and at most 100, the mean over parts: 0% of a success, and less is better. "
    "Where it was least, each part's own nearest moment counts, be it one that was only passed."
)
WAYS = {"at the end": 2, "at the nearest": 1}
"""What is compared -> its place among a record's three distances of a part."""


def progress_rows(spec: ReportSpec, claims: Sequence[Claim], results: Results) -> list[dict[str, Any]]:
    """Per claim both conditions' mean progress and their difference on the same episodes, as fractions.

    Nothing of a claim whose records hold no progress other than success: a goal of one part has none.
    """
    rows = []
    for claim in claims:
        pairs = _pairs(claim, results, _progress)
        if any(_says_more(record) for _, *both in pairs for record in both):
            rows.append(_row("progress", spec, claim, pairs, _progress))
    return rows


def distance_rows(spec: ReportSpec, claims: Sequence[Claim], results: Results) -> list[dict[str, Any]]:
    """Per claim the share of the way to the goal that was left, ``at`` the end and where it was least, as fractions.

    Nothing of a claim whose records tell no distances.
    """
    rows = []
    for claim in claims:
        for at, place in WAYS.items():
            left = partial(way_left, place=place)
            if pairs := _pairs(claim, results, left):
                rows.append({"at": at, **_row("left", spec, claim, pairs, left)})
    return rows


def way_left(record: Record, place: int) -> float | None:
    """The mean over the goal's parts of a distance relative to the one at the start, each at most 1; None if the record
    tells none. ``place`` is that of the distance among a part's three.

    A part that held at the start has no way to go: it counts as 0 while it holds, and as 1 once it does not.
    """
    shares = [
        min(1.0, part[place] / part[0]) if part[0] > 0 else float(part[place] > 0) for part in record.distances.values()
    ]
    return sum(shares) / len(shares) if shares else None


_Pairs = list[tuple[Trial, Record, Record]]
_Measure = Callable[[Record], float | None]


def _progress(record: Record) -> float | None:
    return record.progress


def _row(name: str, spec: ReportSpec, claim: Claim, pairs: _Pairs, measure: _Measure) -> dict[str, Any]:
    """``pairs`` are of records that tell what is measured, whose means are told under this name."""

    def told(record: Record) -> float:
        value = measure(record)
        assert value is not None
        return value

    gaps = [told(one) - told(two) for _, one, two in pairs]
    found = graded_difference(
        np.array([task_number(spec, *trial.place) for trial, _, _ in pairs], dtype=np.int64),
        np.array([trial.init_state for trial, _, _ in pairs], dtype=np.int64),
        np.array(gaps, dtype=np.float64),
        spec.evidence.confidence,
    )
    return {
        "claim": claim.name,
        "treated": claim.treated,
        "control": claim.control,
        name: rounded(float(np.mean([told(one) for _, one, _ in pairs]))),
        f"{name}_control": rounded(float(np.mean([told(two) for _, _, two in pairs]))),
        "estimate": rounded(found.estimate),
        "low": rounded(found.low),
        "high": rounded(found.high),
        "confidence": spec.evidence.confidence,
        "episodes": found.pairs,
        "scenes": found.scenes,
    }


def _pairs(claim: Claim, results: Results, measure: _Measure) -> _Pairs:
    """The trials that both conditions hold with the outcome told; one that does not tell it pairs with nothing."""
    treated, control = (results.records.get(name, {}) for name in (claim.treated, claim.control))
    return [
        (trial, record, control[trial])
        for trial, record in treated.items()
        if trial in control and None not in (measure(record), measure(control[trial]))
    ]


def _says_more(record: Record) -> bool:
    return record.progress != float(record.success)


def progress_table(rows: Sequence[Mapping[str, Any]], outcome: str = "progress") -> list[list[str]]:
    """The rows under ``PROGRESS_HEADER``, of an outcome whose means they hold."""
    return [
        [
            row["claim"],
            *(f"{100 * row[name]:.1f}%" for name in (outcome, f"{outcome}_control")),
            points_text(row),
            str(row["episodes"]),
            str(row["scenes"]),
        ]
        for row in rows
    ]


def progress_section(
    rows: Sequence[Mapping[str, Any]], grid: Callable[[Sequence[str], Iterable[Sequence[str]]], str]
) -> list[str]:
    """Heading, note and a ``grid`` of header and rows; nothing where progress says no more than success."""
    return ["## Progress", NOTE, grid(PROGRESS_HEADER, progress_table(rows))] if rows else []


def distance_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The rows under ``DISTANCE_HEADER``."""
    cells = progress_table(rows, "left")
    return [[f"{row['claim']}, {row['at']}", *others] for row, (_, *others) in zip(rows, cells, strict=True)]


def distance_section(
    rows: Sequence[Mapping[str, Any]], grid: Callable[[Sequence[str], Iterable[Sequence[str]]], str]
) -> list[str]:
    """The same of distances; nothing where no simulator tells any."""
    return ["## Distance to the goal", DISTANCE_NOTE, grid(DISTANCE_HEADER, distance_table(rows))] if rows else []
