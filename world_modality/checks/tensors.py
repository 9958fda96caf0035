"""Safetensors files by their headers: which tensors there are, of which shape; numbers only where they are asked for.

Nothing here imports torch, so that a folder of any size is judged in a moment.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
SHOWN = 3  # names in a message
LFS_POINTER = b"version https://git-lfs"
"""How a file begins that git put in the place of a large one."""
BLOCK = 1 << 20  # bytes that are read at once
FEWEST = 3  # tensors of zeros that are no design

UNREADABLE = (OSError, ValueError, LookupError, TypeError)
"""What reading a damaged file ends in."""

_FORMATS = {"F64": "d", "F32": "f", "F16": "e", "BF16": "H", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U8": "B"}


def read_header(path: Path) -> dict[str, Mapping[str, Any]]:
    """Tensor name -> dtype, shape and place, from the head of a safetensors file; raises what is in ``UNREADABLE``."""
    return _head(path)[0]


def read_values(path: Path, names: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """The numbers of some tensors of a file, row by row; raises what is in ``UNREADABLE``."""
    header, start = _head(path)
    found = {}
    with path.open("rb") as file:
        for name in names:
            first, last = header[name]["data_offsets"]
            file.seek(start + first)
            found[name] = _numbers(file.read(last - first), header[name]["dtype"])
    return found


def stored_header(folder: Path, weights: str = WEIGHTS) -> dict[str, Mapping[str, Any]]:
    """The tensors of a model folder, from the file ``weights`` or from all the files that its index names.

    Raises:
        FileNotFoundError: there are none, or a file that the index names is missing.
        OSError, ValueError, LookupError, TypeError: a file is damaged, or lacks a tensor that the index names.
    """
    headers = {file.name: read_header(file) for file in stored_files(folder, weights)}
    for name, file in _places(folder, weights).items():
        if name not in headers[file]:
            raise ValueError(f"{file} lacks {name}, as {index_of(weights)} has it")
    return {name: entry for header in headers.values() for name, entry in header.items()}


def stored_files(folder: Path, weights: str = WEIGHTS) -> list[Path]:
    """The files of a model folder's weights; raises what ``stored_header`` does of the index."""
    return [folder / name for name in sorted(set(_places(folder, weights).values())) or [weights]]


def index_of(weights: str) -> str:
    """The name of the index beside weights that are cut into several files."""
    return f"{weights}.index.json"


def _places(folder: Path, weights: str) -> Mapping[str, str]:
    """Tensor name -> file, by the index; empty if one file holds all."""
    index = folder / index_of(weights)
    if (folder / weights).is_file() or not index.is_file():
        return {}
    places: Mapping[str, str] = json.loads(index.read_text())["weight_map"]
    return places


def zero_tail(path: Path) -> list[str]:
    """The tensors at a file's end that hold nothing but zeros, as those of a file that was copied in part do.

    None unless they are several and a twentieth of the file: single ones may begin as zeros by design. The file is read
    from its end up to the first other byte. Raises what is in ``UNREADABLE``.
    """
    header, start = _head(path)
    last = end = max((each["data_offsets"][1] for each in header.values()), default=0)
    with path.open("rb") as file:
        while last:
            first = max(0, last - BLOCK)
            file.seek(start + first)
            kept = len(file.read(last - first).rstrip(b"\0"))
            last = first + kept
            if kept:
                break
    empty = [name for name, each in header.items() if last <= each["data_offsets"][0] < each["data_offsets"][1]]
    return sorted(empty) if len(empty) >= FEWEST and end - last >= end / 20 else []


def few(names: Sequence[str]) -> str:
    """The first names of many, in one phrase; "none" if there are none."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown or "none"


def common_prefix(names: Sequence[str], known: Sequence[str]) -> str:
    """The one of the ``known`` prefixes that all names begin with; "" if they do not."""
    return next((prefix for prefix in known if names and all(name.startswith(prefix) for name in names)), "")


def _head(path: Path) -> tuple[dict[str, Mapping[str, Any]], int]:
    """The header, and where the numbers begin."""
    with path.open("rb") as file:
        beginning = file.read(8)
        length = int.from_bytes(beginning, "little")
        if LFS_POINTER.startswith(beginning) and beginning:
            raise ValueError(f"{path.name} is a pointer of git-lfs, not the file itself; `git lfs pull` fetches it")
        if length > path.stat().st_size:
            raise ValueError(f"{path.name} is cut short")
        header: dict[str, Mapping[str, Any]] = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError(f"{path.name} does not begin with a list of tensors")
    header.pop("__metadata__", None)
    if max((each["data_offsets"][1] for each in header.values()), default=0) > path.stat().st_size - 8 - length:
        raise ValueError(f"{path.name} is cut short")
    return header, 8 + length


def _numbers(content: bytes, dtype: str) -> tuple[float, ...]:
    code = _FORMATS[dtype]
    values = struct.unpack(f"<{len(content) // struct.calcsize(f'<{code}')}{code}", content)
    if dtype == "BF16":  # the upper half of a float32
        values = struct.unpack(f"<{len(values)}f", struct.pack(f"<{len(values)}I", *(value << 16 for value in values)))
    return tuple(map(float, values))
