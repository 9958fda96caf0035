"""Which recorded units are worth a film."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from world_modality.rollout.records import Record

FILMS = "films.json"  # what a films stage lists its films in
FILMS_FOLDER = "films"  # of an evaluation without a study; by suite


@dataclass(frozen=True, slots=True)
class Choice:
    """How many units of each sort; the earliest ones, and none twice."""

    first: int = 0
    failures: int = 0
    discordant: int = 0  # that ended otherwise, for each column of the records they are compared with

    def of(self, records: Sequence[Record], others: Sequence[Record] = ()) -> tuple[Record, ...]:
        """The chosen ones of ``records``, in their order; ``others`` are those they are compared with.

        Two columns that are compared with each other choose the same discordant units.
        """
        failed = [record for record in records if not record.success]
        chosen = {*_units(records[: self.first]), *_units(failed[: self.failures])}
        for outcome in _columns(others):
            differ = [r for r in records if outcome.get((r.suite, r.unit), r.success) != r.success]
            chosen |= _units(differ[: self.discordant])
        return tuple(record for record in records if (record.suite, record.unit) in chosen)


def _columns(records: Sequence[Record]) -> Iterable[dict[tuple[str, object], bool]]:
    """The outcomes by unit of every checkpoint in every memory mode."""
    columns: dict[tuple[str, str], dict[tuple[str, object], bool]] = {}
    for record in records:
        own = columns.setdefault((record.checkpoint, record.memory), {})
        own[record.suite, record.unit] = record.success
    return columns.values()


def _units(records: Sequence[Record]) -> set[tuple[str, object]]:
    return {(record.suite, record.unit) for record in records}
