"""The records of a study, arranged by condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from world_modality.errors import UserError
from world_modality.rollout.records import Record, read_records
from world_modality.store.layout import StageFolder
from world_modality.store.verify import require_as_sealed
from world_modality.study.looks import states_asked
from world_modality.study.specs import ReportCell, ReportCondition, ReportSpec

Place = tuple[str, int]
"""Suite and task."""


class Trial(NamedTuple):
    """An episode rolled out by the checkpoint of one training seed: what two conditions are paired on."""

    seed: int
    suite: str
    task: int
    init_state: int
    repeat: int

    @classmethod
    def of(cls, record: Record, seed: int) -> Trial:
        """A record's; where its initial state is unknown, one below 0 that no other record of its set has."""
        state = -1 - record.repeat if record.init_state is None else record.init_state
        return cls(seed, record.suite, record.task, state, record.repeat)

    @property
    def place(self) -> Place:
        """Suite and task."""
        return self.suite, self.task

    @property
    def scene(self) -> tuple[str, int, int]:
        """Suite, task and initial state: trials of one scene are not independent."""
        return self.suite, self.task, self.init_state

    def __str__(self) -> str:
        place = f"{self.suite} task {self.task}"
        return f"seed {self.seed}, {place}, init state {self.init_state}, repeat {self.repeat}"


@dataclass(frozen=True)
class Results:
    """Every condition's records, by trial and sorted; a condition may lack some of the planned ones, or all."""

    conditions: tuple[str, ...]
    records: Mapping[str, Mapping[Trial, Record]]
    trials: tuple[Trial, ...]  # that every condition should hold, sorted
    described: Mapping[str, ReportCondition]

    @property
    def places(self) -> tuple[Place, ...]:
        """Suites and their tasks, sorted."""
        return tuple(sorted({trial.place for trial in self.trials}))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds, sorted."""
        return tuple(sorted({trial.seed for trial in self.trials}))

    def every(self) -> Iterator[Record]:
        """All records of all conditions."""
        return (record for condition in self.conditions for record in self.records[condition].values())

    def missing(self, condition: str) -> tuple[Trial, ...]:
        """The planned trials that a condition lacks, sorted."""
        held = self.records[condition]
        return () if len(held) == len(self.trials) else tuple(trial for trial in self.trials if trial not in held)

    def modes(self, condition: str) -> tuple[str, str]:
        """The memory modes (trained, rolled out) of a condition."""
        described = self.described[condition]
        return described.trained, described.rolled


def load_results(spec: ReportSpec, rollouts: Sequence[Path]) -> Results:
    """Read the cells of ``spec`` from the sealed rollout folders, matched by stage key.

    A folder is ``results/rollout/<key>/artifact``. UserError when a cell is missing, or a condition lacks episodes.
    """
    folders = {path.parent.name: path for path in rollouts}

    def read(cell: ReportCell) -> Sequence[Record]:
        if cell.rollout not in folders:
            raise UserError(f"{_name(cell)} has no sealed rollout {cell.rollout}; run the rollouts again.")
        return read_records(require_as_sealed(StageFolder(folders[cell.rollout].parent), "records.jsonl"))

    results = gather(spec, read)
    for condition in results.conditions:
        if lacking := results.missing(condition):
            raise UserError(
                f"{condition} lacks {len(lacking)} of {len(results.trials)} episodes (first: {lacking[0]}); "
                "run its rollouts again."
            )
    return results


def gather(spec: ReportSpec, read: Callable[[ReportCell], Iterable[Record]]) -> Results:
    """The records that ``read`` finds for every cell, in the cells' conditions.

    UserError for a record that has no place in its cell, or comes twice.
    """
    planned = tuple(
        sorted(
            Trial(seed, suite, task, state, repeat)
            for seed, suite, task in {(cell.seed, cell.suite, cell.task) for cell in spec.cells}
            for state in states_asked(spec, suite, task)
            for repeat in range(spec.repeats)
        )
    )
    names = tuple(condition.name for condition in spec.conditions)
    records: dict[str, dict[Trial, Record]] = {name: {} for name in names}
    wanted = {trial: trial for trial in planned}  # so that all conditions hold the same objects
    for cell in spec.cells:
        for record in read(cell):
            _add(records[cell.condition], cell, record, wanted)
    ordered = {name: dict(sorted(records[name].items())) for name in names}
    return Results(names, ordered, planned, {condition.name: condition for condition in spec.conditions})


def _name(cell: ReportCell) -> str:
    return f"{cell.condition}, seed {cell.seed}, {cell.suite} task {cell.task}"


def _add(condition: dict[Trial, Record], cell: ReportCell, record: Record, wanted: Mapping[Trial, Trial]) -> None:
    if (record.suite, record.task) != (cell.suite, cell.task):
        place = f"{record.suite} task {record.task}"
        raise UserError(f"{_name(cell)}: rollout {cell.rollout} holds a record of {place}; run it again.")
    trial = Trial.of(record, cell.seed)
    if trial in condition:
        raise UserError(f"{cell.condition} holds two records of {trial}; name each rollout once in the study.")
    if trial not in wanted:
        raise UserError(f"{cell.condition} holds a record that the study does not plan, of {trial}; run it again.")
    condition[wanted[trial]] = record
