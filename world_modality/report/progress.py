"""Progress per episode beside success: secondary, and only where it says more. No verdict hangs on it.

It is an outcome, never a covariate of its own arm: what an arm got done is what its memory did to it. Nor would another
arm's outcome on the same scene help as one: both arms meet the same scenes, so a line fitted through the scenes'
differences against any number that a scene has leaves their mean as it is, and the mean over scenes like these is not
known any better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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


def progress_rows(spec: ReportSpec, claims: Sequence[Claim], results: Results) -> list[dict[str, Any]]:
    """Per claim both conditions' mean progress and their difference on the same episodes, as fractions.

    Nothing of a claim whose records hold no progress other than success: a goal of one part has none.
    """
    rows = []
    for claim in claims:
        pairs = _pairs(*(results.records.get(name, {}) for name in (claim.treated, claim.control)))
        if not pairs or not any(_says_more(record) for _, *both in pairs for record in both):
            continue
        gaps = [_progress(one) - _progress(two) for _, one, two in pairs]
        found = graded_difference(
            np.array([task_number(spec, *trial.place) for trial, _, _ in pairs], dtype=np.int64),
            np.array([trial.init_state for trial, _, _ in pairs], dtype=np.int64),
            np.array(gaps, dtype=np.float64),
            spec.evidence.confidence,
        )
        rows.append(
            {
                "claim": claim.name,
                "treated": claim.treated,
                "control": claim.control,
                "progress": rounded(float(np.mean([_progress(one) for _, one, _ in pairs]))),
                "progress_control": rounded(float(np.mean([_progress(two) for _, _, two in pairs]))),
                "estimate": rounded(found.estimate),
                "low": rounded(found.low),
                "high": rounded(found.high),
                "confidence": spec.evidence.confidence,
                "episodes": found.pairs,
                "scenes": found.scenes,
            }
        )
    return rows


def _pairs(treated: Mapping[Trial, Record], control: Mapping[Trial, Record]) -> list[tuple[Trial, Record, Record]]:
    """The trials that both hold with a progress told; one that an import does not tell pairs with nothing."""
    return [
        (trial, record, control[trial])
        for trial, record in treated.items()
        if trial in control and None not in (record.progress, control[trial].progress)
    ]


def _progress(record: Record) -> float:
    assert record.progress is not None
    return record.progress


def _says_more(record: Record) -> bool:
    return record.progress != float(record.success)


def progress_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The rows under ``PROGRESS_HEADER``."""
    return [
        [
            row["claim"],
            *(f"{100 * row[name]:.1f}%" for name in ("progress", "progress_control")),
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
