"""Which recorded units are worth a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from world_modality.rollout.records import Record

FILMS = "films.json"  # what a films stage lists its films in
FILMS_FOLDER = "films"  # of an evaluation without a study; by suite


@dataclass(frozen=True, slots=True)
class Choice:
    """How many units of each sort; the earliest ones, and none twice."""

    first: int = 0
    failures: int = 0
    discordant: int = 0  # that ended otherwise in the records they are compared with

    def of(self, records: Sequence[Record], others: Sequence[Record] = ()) -> tuple[Record, ...]:
        """The chosen ones of ``records``, in their order; ``others`` are those they are compared with."""
        outcome = {(record.suite, record.unit): record.success for record in others}
        failed = [record for record in records if not record.success]
        differ = [r for r in records if outcome.get((r.suite, r.unit), r.success) != r.success]
        chosen = {*_units(records[: self.first]), *_units(failed[: self.failures]), *_units(differ[: self.discordant])}
        return tuple(record for record in records if (record.suite, record.unit) in chosen)


def _units(records: Sequence[Record]) -> set[tuple[str, object]]:
    return {(record.suite, record.unit) for record in records}
