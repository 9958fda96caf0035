"""The records of a study, arranged by column and proven to be comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from world_modality.errors import UserError
from world_modality.rollout.records import Record, read_records
from world_modality.study.specs import ReportCell, ReportSpec

Place = tuple[str, int]
"""Suite and task."""


class Trial(NamedTuple):
    """A unit rolled out by the checkpoint of one training seed: what two columns are paired on."""

    seed: int
    suite: str
    task: int
    init_state: int
    repeat: int

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
    """Every column's records; all columns hold the same trials, in the same order."""

    columns: tuple[str, ...]
    records: Mapping[str, Mapping[Trial, Record]]

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials that every column holds, sorted."""
        return tuple(self.records[self.columns[0]])

    @property
    def places(self) -> tuple[Place, ...]:
        """Suites and their tasks, sorted."""
        return tuple(sorted({trial.place for trial in self.trials}))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds, sorted."""
        return tuple(sorted({trial.seed for trial in self.trials}))

    def every(self) -> tuple[Record, ...]:
        """All records of all columns."""
        return tuple(record for column in self.columns for record in self.records[column].values())

    def modes(self, column: str) -> tuple[str, str]:
        """The memory modes (trained, rolled out) of a column."""
        record = next(iter(self.records[column].values()))
        return record.trained_memory, record.memory


def load_results(spec: ReportSpec, rollouts: Sequence[Path]) -> Results:
    """Read the cells of ``spec`` from the sealed rollout folders, matched by stage key.

    A folder is ``results/rollout/<key>/artifact``. UserError when a cell is missing, or when the columns do not
    hold exactly the same units on the same scenes with the same noise: such columns must not be compared.
    """
    folders = {path.parent.name: path for path in rollouts}
    records: dict[str, dict[Trial, Record]] = {column: {} for column in spec.columns}
    for cell in spec.cells:
        if cell.rollout not in folders:
            raise UserError(f"{_name(cell)} has no sealed rollout {cell.rollout}; run the rollouts again.")
        for record in read_records(folders[cell.rollout] / "records.jsonl"):
            _add(records[cell.column], cell, record)
    results = Results(spec.columns, {column: dict(sorted(records[column].items())) for column in spec.columns})
    _check_comparable(results)
    return results


def _name(cell: ReportCell) -> str:
    return f"{cell.column}, seed {cell.seed}, {cell.suite} task {cell.task}"


def _add(column: dict[Trial, Record], cell: ReportCell, record: Record) -> None:
    if (record.suite, record.task) != (cell.suite, cell.task):
        place = f"{record.suite} task {record.task}"
        raise UserError(f"{_name(cell)}: rollout {cell.rollout} holds a record of {place}; run it again.")
    trial = Trial(cell.seed, record.suite, record.task, record.init_state, record.repeat)
    if trial in column:
        raise UserError(f"{cell.column} holds two records of {trial}; name each rollout once in the study.")
    column[trial] = record


def _check_comparable(results: Results) -> None:
    """UserError unless all columns hold the same trials, and each trial the same scene and noise."""
    first = results.records[results.columns[0]]
    if not first:
        raise UserError(f"{results.columns[0]} holds no records; a study needs at least one unit per cell.")
    for column in results.columns[1:]:
        other = results.records[column]
        for odd, holder, lacking in (
            (sorted(first.keys() - other.keys()), results.columns[0], column),
            (sorted(other.keys() - first.keys()), column, results.columns[0]),
        ):
            if odd:
                raise UserError(
                    f"{lacking} lacks {len(odd)} units that {holder} holds (first: {odd[0]}); "
                    "roll every column out on the same units."
                )
        for trial, record in other.items():
            if _scene(record) != _scene(first[trial]):
                raise UserError(
                    f"{column} and {results.columns[0]} met different scenes or noise at {trial}; "
                    "roll both out with the same simulator settings."
                )


def _scene(record: Record) -> tuple[object, ...]:
    """What the arms must share: the assets, the scene, its seed and the noise."""
    return (
        record.suite,
        record.assets_digest,
        record.language,
        record.init_state_digest,
        record.environment_seed,
        record.flow_seed,
    )
