"""A study as it is at this moment: sealed rollouts, and the units recorded of unfinished ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from world_modality.report.arms import arms_gate
from world_modality.report.build import Material
from world_modality.report.results import Results, gather
from world_modality.rollout.records import Record, read_records, read_unfinished
from world_modality.rollout.units import units_of
from world_modality.store.index import sealed_record
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.record import read_run
from world_modality.store.request import StageRequest
from world_modality.store.verify import require_as_sealed
from world_modality.study.graph import Graph
from world_modality.study.specs import ReportCell, ReportSpec, RolloutSpec

STATES = ("sealed", "under way", "not started")


@dataclass
class _Found:
    """What is known of the rollouts read so far."""

    states: dict[str, str] = field(default_factory=dict)  # by rollout key
    newest: float = 0.0  # seconds since 1970: when a rollout was sealed, or a file of records of another changed


def collect(root: Path, graph: Graph) -> Material:
    """Everything that a report of the study can be made of now; changes nothing in the results tree.

    UserError where a file of records is damaged.
    """
    spec = cast(ReportSpec, graph.report.spec)
    found = _Found()

    def read(cell: ReportCell) -> Iterable[Record]:
        return _records(root, graph.stages[cell.rollout], found)

    results = gather(spec, read)
    trainings = _sealed(root, graph, "train")
    comparable = {folder.path.name for folder in _whole_seeds(graph, trainings)}
    return Material(
        spec=spec,
        results=results,
        arms=arms_gate(spec.arms, [folder.artifact for folder in trainings if folder.path.name in comparable]),
        rollouts=[folder.artifact for folder in _sealed(root, graph, "rollout")],
        trainings=[folder.artifact for folder in trainings],
        films=[folder.artifact for folder in _sealed(root, graph, "films")],
        newest=datetime.fromtimestamp(found.newest, UTC).isoformat(timespec="seconds") if found.newest else "",
        missing=_missing(spec, results, found),
    )


def _records(root: Path, request: StageRequest, found: _Found) -> Sequence[Record]:
    """A rollout's records, sealed or not."""
    folder = stage_folder(root, "rollout", request.key)
    unfinished = () if sealed_record(folder) else read_unfinished(folder.work / "records")
    if sealed_record(folder):  # also if it was sealed, and its work removed, while that was read
        found.states[request.key] = STATES[0]
        run = read_run(folder.run)
        found.newest = max(found.newest, datetime.fromisoformat(run.sealed_at).timestamp() if run else 0.0)
        return read_records(require_as_sealed(folder, "records.jsonl"))
    found.states[request.key] = STATES[1] if folder.attempts.exists() else STATES[2]
    own = set(units_of(cast(RolloutSpec, request.spec)))
    files = (folder.work / "records").glob("records-*.jsonl") if unfinished else ()
    found.newest = max([found.newest, *map(_changed, files)])
    return [record for record in unfinished if record.unit in own]


def _changed(file: Path) -> float:
    """When a file was written last; 0 if it is gone, with the work of a stage that was sealed just now."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _sealed(root: Path, graph: Graph, role: str) -> list[StageFolder]:
    """The sealed ones of the report's inputs in a role, in the graph's order."""
    folders = [stage_folder(root, each.stage, each.key) for each in graph.report.inputs if each.role == role]
    return [folder for folder in dict.fromkeys(folders) if sealed_record(folder)]


def _whole_seeds(graph: Graph, sealed: Sequence[StageFolder]) -> list[StageFolder]:
    """The trainings of seeds that every arm has been trained with."""
    keys = [each.key for each in graph.report.inputs if each.role == "train"]
    seeds = {key: getattr(graph.stages[key].spec, "seed", 0) for key in keys}
    wanted = Counter(seeds.values())
    there = Counter(seeds[folder.path.name] for folder in sealed)
    return [folder for folder in sealed if there[seeds[folder.path.name]] == wanted[seeds[folder.path.name]]]


def _missing(spec: ReportSpec, results: Results, found: _Found) -> tuple[dict[str, Any], ...]:
    """One entry per cell that lacks units: column, seed, suite, task, units, planned, and how far it is."""
    planned = len(spec.init_states) * spec.repeats
    lacking = {
        column: Counter((trial.seed, *trial.place) for trial in results.missing(column)) for column in results.columns
    }
    states: dict[tuple[str, int, str, int], set[str]] = {}
    for cell in spec.cells:
        place = (cell.column, cell.seed, cell.suite, cell.task)
        states.setdefault(place, set()).add(found.states[cell.rollout])
    entries = []
    for (column, seed, suite, task), stages in states.items():
        if gap := lacking[column][seed, suite, task]:
            state = STATES[1] if planned > gap or STATES[1] in stages else STATES[2]
            entry = {"column": column, "seed": seed, "suite": suite, "task": task}
            entries.append({**entry, "units": planned - gap, "planned": planned, "state": state})
    return tuple(entries)
