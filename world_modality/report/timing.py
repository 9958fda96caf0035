"""When the stages behind a report were made and what they cost: beside the report, whose bytes no clock may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from world_modality.report.claims import plan_of
from world_modality.report.collect import Material
from world_modality.report.provenance import lineage
from world_modality.report.sealed_plans import first_start, read_seals
from world_modality.store.done import read_run
from world_modality.store.layout import stage_folder


def timing_of(root: Path, material: Material) -> dict[str, Any]:
    """Times in UTC, ISO 8601, and wall seconds, as JSON values; "" or null for what is not known.

    ``newest_outcome`` is when the newest rollout was sealed, or for a study under way its newest episode was recorded.
    """
    spec = material.spec
    stages = [_stage(root, record.stage, record.key) for record in lineage(material.artifacts)]
    kinds = dict.fromkeys(each["stage"] for each in stages)
    plan = plan_of(spec)
    return {
        "newest_outcome": material.newest
        or max((each["sealed_at"] for each in stages if each["stage"] == "rollout"), default=""),
        "first_rollout_started": first_start(stage_folder(root, "rollout", cell.rollout) for cell in spec.cells),
        "plans": [
            {"digest": seal.digest, "sealed_at": seal.sealed_at, "own": plan is not None and seal.digest == plan.digest}
            for seal in read_seals(root, spec.study)
        ],
        "wall_time": [_cost(kind, [each for each in stages if each["stage"] == kind]) for kind in kinds],
        "stages": stages,
    }


def _stage(root: Path, stage: str, key: str) -> dict[str, Any]:
    run = read_run(stage_folder(root, stage, key).run)
    return {
        "stage": stage,
        "key": key,
        "seconds": run.wall_seconds if run else None,
        "attempts": run.attempts if run else None,
        "sealed_at": run.sealed_at if run else "",
    }


def _cost(kind: str, stages: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = sum(each["seconds"] or 0.0 for each in stages)
    return {"stage": kind, "runs": len(stages), "seconds": round(seconds, 1), "hours": round(seconds / 3600, 2)}
