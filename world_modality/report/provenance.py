"""Where a table's numbers come from: every sealed stage behind it, with what software, when, and at what cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.report.claims import judged_cells, plan_of
from world_modality.report.collect import Material
from world_modality.report.sealed_plans import first_start, read_seals
from world_modality.store.done import DoneFile, read_run
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder, stage_folder


def lineage(artifacts: Iterable[Path]) -> tuple[DoneFile, ...]:
    """The sealed records of these artifacts and of all they were made from, each once, by stage and key.

    An artifact is ``results/<stage>/<key>/artifact``. UserError names a stage whose record is missing.
    """
    waiting = [StageFolder(artifact.parent) for artifact in artifacts]
    found: dict[Path, DoneFile] = {}
    while waiting:
        folder = waiting.pop()
        if folder.path in found:
            continue
        record = sealed_done(folder)
        if record is None:
            raise UserError(f"{folder.done} is missing or damaged; run the study again, which makes what is missing.")
        found[folder.path] = record
        root = folder.path.parents[1]
        waiting += [stage_folder(root, source.stage, source.key) for source in record.upstream]
    return tuple(sorted(found.values(), key=lambda record: (record.stage, record.key)))


def describe(records: Sequence[DoneFile], labels: Mapping[str, str]) -> dict[str, Any]:
    """Software versions, and every stage with its key, version and digests, as JSON-serialisable data.

    ``labels`` are the study's own, by key: another study that made the stage first may have named it otherwise.
    """
    software: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.versions.items():
            software.setdefault(package, set()).add(version)
    return {
        "versions": {package: ", ".join(sorted(versions)) for package, versions in sorted(software.items())},
        "stages": [
            {
                "stage": record.stage,
                "label": labels.get(record.key, ""),
                "key": record.key,
                "version": record.version,
                "source_digest": record.source_digest,
                "artifact_digest": record.content_digest,
            }
            for record in records
        ],
    }


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
        "first_rollout_started": first_start(
            stage_folder(root, "rollout", cell.rollout) for cell in judged_cells(spec)
        ),
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
