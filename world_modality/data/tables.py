"""LeRobot's tables, which the library ``datasets`` reads by way of a cache: from any path, and with any home folder."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from world_modality.errors import UserError
from world_modality.imports import replaced

CACHE_VARIABLE = "HF_DATASETS_CACHE"


@contextmanager
def readable_tables() -> Iterator[None]:
    """Meanwhile LeRobot reads its tables below folders whose names look like patterns, too.

    Raises:
        UserError: the cache of ``datasets`` cannot be written.
    """
    from lerobot.datasets import io_utils

    stock = io_utils.Dataset

    class Tables(stock):  # type: ignore[misc, valid-type]
        @staticmethod
        def from_parquet(paths: Sequence[str], **settings: Any) -> Any:
            _require_cache()
            return stock.from_parquet([glob.escape(path) for path in paths], **settings)

    with replaced(io_utils, "Dataset", Tables):
        yield


def copy_table(source: Path, target: Path, schema: pa.Schema) -> None:
    """Copy a parquet file under another schema of the same types in the same order, row group by row group."""
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, schema, compression="snappy") as copy:
        for group in range(file.num_row_groups):
            copy.write_table(file.read_row_group(group).rename_columns(schema.names).cast(schema))


def _require_cache() -> None:
    import datasets

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return
    except OSError as error:
        raise UserError(
            f"the cache of tables in {cache} cannot be written ({os.strerror(error.errno or 0)}): set {CACHE_VARIABLE} "
            "to a folder that can be"
        ) from None
