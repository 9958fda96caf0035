"""Every record of a study as one table, for whoever wants to analyse it otherwise: Parquet and CSV."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import batched
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from world_modality.report.results import Results, Trial
from world_modality.rollout.records import CONTENT, Record

ROWS = 50_000  # that are held as a table at a time

INTEGERS = ("task", "init_state", "repeat", "environment_seed", "flow_seed", "steps", "replans")
TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(INTEGERS, pa.int64()),
    "success": pa.bool_(),
    "progress": pa.float64(),
    "episode_return": pa.float64(),
}
SCHEMA = pa.schema(
    [
        ("condition", pa.string()),
        ("seed", pa.int64()),
        *((name, TYPES.get(name, pa.string())) for name in CONTENT),
    ]
)


def write_records(results: Results, folder: Path) -> None:
    """Write ``records.parquet`` and ``records.csv`` into ``folder``, a row per record; each complete or as it was.

    ``condition`` and ``seed`` are the study's; ``versions`` is a text such as ``lerobot 0.6.1, torch 2.11.0``,
    ``settled`` and ``distances`` are texts of JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, ExitStack() as open_files:
        places = Path(scratch) / "records.parquet", Path(scratch) / "records.csv"
        writers = (
            open_files.enter_context(parquet.ParquetWriter(places[0], SCHEMA, compression="zstd")),
            open_files.enter_context(csv.CSVWriter(places[1], SCHEMA)),
        )
        for rows in batched(_rows(results), ROWS):
            table = _table(rows)
            for writer in writers:
                writer.write_table(table)
        open_files.close()
        for place in places:
            place.replace(folder / place.name)


def _rows(results: Results) -> Iterator[tuple[str, Trial, Record]]:
    for condition in results.conditions:
        for trial, record in results.records[condition].items():
            yield condition, trial, record


def _table(rows: tuple[tuple[str, Trial, Record], ...]) -> pa.Table:
    records = [record for _, _, record in rows]
    arrays = [[condition for condition, _, _ in rows], [trial.seed for _, trial, _ in rows]]
    for content in CONTENT:
        name = {"versions": "software", "settled": "settled_text", "distances": "distances_text"}.get(content, content)
        arrays.append([getattr(record, name) for record in records])
    return pa.table([pa.array(values, type=own.type) for values, own in zip(arrays, SCHEMA, strict=True)], SCHEMA)
