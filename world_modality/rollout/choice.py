"""Which recorded episodes are worth a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from world_modality.rollout.records import Record

VIDEOS = "videos.json"  # what a videos stage lists its videos in
VIDEOS_FOLDER = "videos"  # of an evaluation without a study; by suite


@dataclass(frozen=True, slots=True)
class Choice:
    """How many episodes of each sort; the earliest ones, and none twice."""

    first: int = 0
    failures: int = 0
    discordant: int = 0  # that ended otherwise, for each column of the records they are compared with

    def of(self, records: Sequence[Record], others: Sequence[Record] = ()) -> tuple[Record, ...]:
        """The chosen ones of ``records``, in their order; ``others`` are those they are compared with.

        Two columns that are compared with each other choose the same discordant episodes.
        """
        failed = [record for record in records if not record.success]
        chosen = {*_episodes(records[: self.first]), *_episodes(failed[: self.failures])}
        for outcome in _columns(others):
            differ = [r for r in records if outcome.get((r.suite, r.episode), r.success) != r.success]
            chosen |= _episodes(differ[: self.discordant])
        return tuple(record for record in records if (record.suite, record.episode) in chosen)


def _columns(records: Sequence[Record]) -> Iterable[dict[tuple[str, object], bool]]:
    """The outcomes by episode of every checkpoint in every memory mode."""
    columns: dict[tuple[str, str], dict[tuple[str, object], bool]] = {}
    for record in records:
        own = columns.setdefault((record.checkpoint, record.memory), {})
        own[record.suite, record.episode] = record.success
    return columns.values()


def _episodes(records: Sequence[Record]) -> set[tuple[str, object]]:
    return {(record.suite, record.episode) for record in records}
