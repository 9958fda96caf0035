"""What a report is made of, of a study as it is at this moment: sealed rollouts, and episodes of unfinished ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from world_modality.errors import UserError
from world_modality.evidence.gates import Gate
from world_modality.report.gates import arms_gate
from world_modality.report.results import Results, gather
from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.records import OWNERS, Record, read_records, read_unfinished
from world_modality.store.done import read_run
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.stage import StageRequest
from world_modality.store.verify import require_as_sealed
from world_modality.study.graph import Graph
from world_modality.study.looks import scenes_per_task
from world_modality.study.specs import ReportCell, ReportSpec, RolloutSpec

SEALED, UNDER_WAY, NOT_STARTED, DAMAGED = "sealed", "under way", "not started", "damaged"


@dataclass(frozen=True)
class Material:
    """What a report is made of: a study's records, and the sealed artifacts around them."""

    spec: ReportSpec
    results: Results
    arms: Gate  # whether the trainings may be compared
    rollouts: Sequence[Path]
    trainings: Sequence[Path]
    videos: Sequence[Path]
    given: Sequence[Path] = ()  # of the given checkpoints
    tokens: Sequence[Path] = ()  # of world tokens, one per camera
    offline: Sequence[Path] = ()  # offline evaluations of the discrete line's trainings
    missing: Sequence[Mapping[str, Any]] = ()  # cells that lack episodes, as ``collect`` finds them
    newest: str = ""  # when the newest outcome was recorded, UTC, ISO 8601; "" when all rollouts are sealed

    @property
    def artifacts(self) -> tuple[Path, ...]:
        """Of every stage that the report reads."""
        return (*self.rollouts, *self.trainings, *self.given, *self.videos, *self.tokens, *self.offline)


@dataclass
class _Found:
    """What is known of the rollouts read so far."""

    states: dict[str, str] = field(default_factory=dict)  # by rollout key
    damages: dict[str, str] = field(default_factory=dict)  # by rollout key: what is wrong with its records
    newest: float = 0.0  # seconds since 1970: when a rollout was sealed, or a file of records of another changed


def collect(root: Path, graph: Graph) -> Material:
    """Everything that a report of the study can be made of now; changes nothing in the results tree.

    A cell whose records are damaged counts as missing, and says so.
    """
    spec = cast(ReportSpec, graph.report.spec)
    found = _Found()

    def read(cell: ReportCell) -> Iterable[Record]:
        try:
            return _records(root, graph.stages[cell.rollout], found)
        except UserError as error:
            found.states[cell.rollout], found.damages[cell.rollout] = DAMAGED, str(error)
            return ()

    results = gather(spec, read)
    trainings = _sealed(root, graph, "train")
    comparable = {folder.path.name for folder in _whole_seeds(graph, trainings)}
    return Material(
        spec=spec,
        results=results,
        arms=arms_gate(spec.arms, [folder.artifact for folder in trainings if folder.path.name in comparable]),
        rollouts=[folder.artifact for folder in _sealed(root, graph, "rollout")],
        trainings=[folder.artifact for folder in trainings],
        videos=[folder.artifact for folder in _sealed(root, graph, "videos")],
        given=[folder.artifact for folder in _sealed(root, graph, "given")],
        tokens=[folder.artifact for folder in _sealed(root, graph, "tokens")],
        offline=[folder.artifact for folder in _sealed(root, graph, "offline")],
        newest=datetime.fromtimestamp(found.newest, UTC).isoformat(timespec="seconds") if found.newest else "",
        missing=_missing(spec, results, found),
    )


def _records(root: Path, request: StageRequest, found: _Found) -> Sequence[Record]:
    """A rollout's records, sealed or not."""
    folder = stage_folder(root, "rollout", request.key)
    unfinished = () if sealed_done(folder) else read_unfinished(folder.work / "records")
    if sealed_done(folder):  # also if it was sealed, and its work removed, while that was read
        found.states[request.key] = SEALED
        run = read_run(folder.run)
        found.newest = max(found.newest, datetime.fromisoformat(run.sealed_at).timestamp() if run else 0.0)
        return read_records(require_as_sealed(folder, "records.jsonl"))
    found.states[request.key] = UNDER_WAY if folder.attempts.exists() else NOT_STARTED
    own = set(episodes_of(cast(RolloutSpec, request.spec)))
    files = (folder.work / "records").glob(OWNERS) if unfinished else ()
    found.newest = max([found.newest, *map(_changed, files)])
    return [record for record in unfinished if record.episode in own]


def _changed(file: Path) -> float:
    """When a file was written last; 0 if it is gone, with the work of a stage that was sealed just now."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _sealed(root: Path, graph: Graph, role: str) -> list[StageFolder]:
    """The sealed ones of the report's inputs in a role, in the graph's order."""
    folders = [stage_folder(root, each.stage, each.key) for each in graph.report.inputs if each.role == role]
    return [folder for folder in dict.fromkeys(folders) if sealed_done(folder)]


def _whole_seeds(graph: Graph, sealed: Sequence[StageFolder]) -> list[StageFolder]:
    """The trainings of seeds that every arm has been trained with."""
    keys = [each.key for each in graph.report.inputs if each.role == "train"]
    seeds = {key: getattr(graph.stages[key].spec, "seed", 0) for key in keys}
    wanted = Counter(seeds.values())
    there = Counter(seeds[folder.path.name] for folder in sealed)
    return [folder for folder in sealed if there[seeds[folder.path.name]] == wanted[seeds[folder.path.name]]]


def _missing(spec: ReportSpec, results: Results, found: _Found) -> tuple[dict[str, Any], ...]:
    """One entry per cell that lacks episodes: condition, seed, suite, task, episodes, planned, and how far it is."""
    planned = scenes_per_task(spec) * spec.repeats
    lacking = {
        condition: Counter((trial.seed, *trial.place) for trial in results.missing(condition))
        for condition in results.conditions
    }
    rollouts: dict[tuple[str, int, str, int], list[str]] = {}
    for cell in spec.cells:
        rollouts.setdefault((cell.condition, cell.seed, cell.suite, cell.task), []).append(cell.rollout)
    entries = []
    for (condition, seed, suite, task), keys in rollouts.items():
        if gap := lacking[condition][seed, suite, task]:
            entry = {"condition": condition, "seed": seed, "suite": suite, "task": task}
            state = _state(found, keys, begun=planned > gap)
            entries.append({**entry, "episodes": planned - gap, "planned": planned, "state": state})
    return tuple(entries)


def _state(found: _Found, keys: Sequence[str], *, begun: bool) -> str:
    """How far a cell is that lacks episodes, and what is wrong with its records if they are damaged."""
    if damages := [found.damages[key] for key in keys if key in found.damages]:
        return f"{DAMAGED}: {'; '.join(damages)}"
    return UNDER_WAY if begun or any(found.states[key] == UNDER_WAY for key in keys) else NOT_STARTED
