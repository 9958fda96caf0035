"""The real rollouts, with a line in a file outside of the results for every episode that is recorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from world_modality.rollout import records, stage
from world_modality.rollout.records import Record
from world_modality.store.stage import StageContext

JOURNAL_VARIABLE = "COUNTED_ROLLOUTS"


def run(spec: Any, context: StageContext) -> Any:
    """As ``world_modality.rollout.stage.run``."""
    append = records.Ledger.append

    def counting(ledger: records.Ledger, record: Record) -> bool:
        written = append(ledger, record)
        if written:
            line = f"{context.key} {record.episode.task} {record.episode.init_state} {record.episode.repeat}\n"
            with Path(os.environ[JOURNAL_VARIABLE]).open("a") as file:
                file.write(line)
        return written

    records.Ledger.append = counting  # type: ignore[method-assign]
    try:
        return stage.run(spec, context)
    finally:
        records.Ledger.append = append  # type: ignore[method-assign]


RUNNERS = {"rollout": run}
