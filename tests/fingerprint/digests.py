"""From tensors, arrays, tables and nested figures to short texts that can be compared."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

WEIGHTS = "weights"
WEIGHT_VALUES = "weight_values"
"""Kinds of the two digests that tensors have: with their names and shapes, and of their numbers alone."""


def digest(parts: Iterable[bytes]) -> str:
    """16 hex digits of sha256 over ``parts``, each of which counts with its length."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()[:16]


def array_digest(array: NDArray[Any]) -> str:
    """Of the numbers and their type; the shape does not count."""
    return digest([str(array.dtype).encode(), np.ascontiguousarray(array).tobytes()])


def tensors_digest(path: Path) -> tuple[str, str]:
    """Of the tensors in a safetensors file: of all that they are, and of their numbers and types alone.

    The second stays the same when tensors are renamed, reshaped or stand in another order. The format: 8 bytes with
    the length of a JSON header, the header, the tensors (https://huggingface.co/docs/safetensors).
    """
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    told, numbers = [], []
    for name, tensor in sorted(header.items()):
        first, last = (start + offset for offset in tensor["data_offsets"])
        plain = digest([tensor["dtype"].encode(), content[first:last]])
        told.append(f"{name} {tensor['shape']} {plain}".encode())
        numbers.append(plain.encode())
    return digest(told), digest(sorted(numbers))


def table_digests(files: Sequence[Path]) -> dict[str, str]:
    """Of every column of Parquet files that form one table; pictures are decoded."""
    table = pa.concat_tables([pq.read_table(path) for path in files])
    return {name: digest(map(_cell, table.column(name).to_pylist())) for name in sorted(table.column_names)}


def _cell(value: object) -> bytes:
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        picture = np.asarray(Image.open(io.BytesIO(value["bytes"])))
        return f"{picture.dtype} {picture.shape} ".encode() + picture.tobytes()
    return repr(value).encode()


def leaves(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested JSON values by its dotted name; a list of plain values is one leaf."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from leaves(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        for number, each in enumerate(value):
            yield from leaves(each, f"{name}.{number}" if name else str(number))
    else:
        yield name, value


def is_text(leaf: object) -> bool:
    """Whether a leaf is words rather than numbers."""
    return isinstance(leaf, str) or (isinstance(leaf, list) and any(isinstance(each, str) for each in leaf))


def exact(leaf: object) -> str:
    """A leaf as JSON: floats to the last bit, None as null."""
    return json.dumps(leaf, ensure_ascii=False)
