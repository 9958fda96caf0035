"""A dataset's features under a suite's names, by a study's ``data.rename``: the dataset's name -> the suite's.

While a study is planned the files keep their names, and only what is read of them is renamed (``renamed``). The dataset
stage writes the names into its own copy (``rename_files``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from world_modality.data.description import (
    EPISODES,
    INFO,
    STATISTICS,
    Description,
    column_under,
    tables_below,
)
from world_modality.data.schema import ACTION, camera_column
from world_modality.data.tables import copy_table
from world_modality.errors import UserError, in_one_line
from world_modality.store.files import write_atomically, write_json

LEROBOTS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns of every dataset, which LeRobot finds by these names."""
NAME = re.compile(r"\w[\w.-]*")
DRAFT = ".renaming"

Pairs = Sequence[tuple[str, str]]


def plan_rename(rename: Pairs, features: Mapping[str, Any]) -> dict[str, str]:
    """What each feature that is renamed is called in the dataset -> what it will be called, both in full.

    >>> plan_rename([("front", "image")], {"observation.images.front": {}})
    {'observation.images.front': 'observation.images.image'}

    Args:
        rename: the dataset's names -> the suite's; a camera may be called without what its column begins with.
        features: those of the dataset, by its own names.

    Raises:
        UserError: there is no such feature, or it is LeRobot's own; a name comes twice, is taken or is none.
    """
    names: dict[str, str] = {}
    for theirs, ours in rename:
        found = next((name for name in (theirs, camera_column(theirs)) if name in features), None)
        if found is None or found in LEROBOTS:
            own = ", ".join(name for name in features if name not in LEROBOTS)
            raise UserError(f"the dataset has no feature {theirs} to be called {ours}: write its name first, of {own}")
        if not NAME.fullmatch(ours):
            raise UserError(f"{theirs} cannot be called '{ours}': give letters, digits, dots, - and _")
        if found in names:
            raise UserError(f"{found} comes twice: name each feature once")
        names[found] = ours if "." in ours or ours == ACTION else camera_column(ours)
    for found, ours in names.items():
        several = [name for name, other in names.items() if other == ours]
        if len(several) > 1:
            raise UserError(f"{' and '.join(several)} both become {ours}: one name is one feature's")
        if ours in features and ours not in names:
            raise UserError(
                f"{found} becomes {ours}, and the dataset has a feature of that name already: rename that one, too"
            )
    return names


def renamed(description: Description, rename: Pairs) -> Description:
    """A dataset as if its features had the names that a study gives them; its files keep their own.

    UserError as in :func:`plan_rename`.
    """
    names = plan_rename(rename, description.features)
    features = {names.get(name, name): feature for name, feature in description.features.items()}
    return replace(description, info={**description.info, "features": features}, names=names)


def rename_files(description: Description, rename: Pairs) -> None:
    """Give a dataset's features other names in all of its files.

    Files that change are written anew, so that one which shares its bytes with another by a hard link leaves that as it
    is. Killed half way it leaves a dataset that must be fetched or copied again.

    UserError as in :func:`plan_rename`, or a table or the metadata cannot be read.
    """
    root, after = description.root, renamed(description, rename)
    moves = [*_moves(description, after)]
    statistics = {after.names.get(name, name): each for name, each in description.statistics.items()}
    for folder in ("data", EPISODES):
        for table in tables_below(root / folder):
            try:
                _rename_columns(table, after.names)
            except (OSError, pa.ArrowException) as error:
                raise UserError(
                    f"{table} cannot be read or written anew ({in_one_line(error)}): fetch or build it again"
                ) from error
    drafts = [root / DRAFT / str(number) for number in range(len(moves))]
    (root / DRAFT).mkdir()
    for draft, (old, _) in zip(drafts, moves, strict=True):  # two cameras may change places
        (root / old).rename(draft)
    for draft, (_, new) in zip(drafts, moves, strict=True):
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        draft.rename(root / new)
    (root / DRAFT).rmdir()
    for old, _ in moves:
        _remove_empty((root / old).parent, root)
    write_atomically(root / STATISTICS, json.dumps(statistics, indent=4).encode())  # may hold numbers that are not
    write_json(root / INFO, after.info)


def _moves(before: Description, after: Description) -> Iterator[tuple[str, str]]:
    """Where each video file is and where it will be, of those that are there and change their place."""
    found: dict[str, str] = {}
    for old, new in after.names.items():
        if old in before.videos:
            for number in range(len(before.rows)):
                file = before.stretch(number, old).file
                found.setdefault(file, before.video_file(number, old, called=new))
    yield from ((old, new) for old, new in found.items() if old != new and (before.root / old).is_file())


def _rename_columns(file: Path, names: Mapping[str, str]) -> None:
    with pq.ParquetFile(file) as opened:
        schema = opened.schema_arrow
    fields = [field.with_name(column_under(field.name, names)) for field in schema]
    if len({field.name for field in fields}) < len(fields):
        twice = next(each.name for each in fields if sum(each.name == other.name for other in fields) > 1)
        raise UserError(f"{file} already has a column {twice}, which is no feature: choose another name")
    wanted = pa.schema(fields, _renamed_marks(schema.metadata or {}, names))
    if wanted.equals(schema, check_metadata=True):
        return
    draft = file.with_name(f"{DRAFT}-{file.name}")
    copy_table(file, draft, wanted)
    draft.replace(file)


def _renamed_marks(marks: Mapping[bytes, bytes], names: Mapping[str, str]) -> dict[bytes, bytes]:
    """What a table says of its columns: to ``datasets``, their types by name, and to pandas, a list of them."""
    found = dict(marks)
    if b"huggingface" in marks:
        mark = json.loads(marks[b"huggingface"])
        features = (mark.get("info") or {}).get("features") or {}
        if any(column_under(name, names) != name for name in features):
            mark["info"]["features"] = {column_under(name, names): each for name, each in features.items()}
            found[b"huggingface"] = json.dumps(mark).encode()
    if b"pandas" in marks:
        mark = json.loads(marks[b"pandas"])
        for column in mark.get("columns", ()):
            for key in {"name", "field_name"} & column.keys():
                if isinstance(column[key], str):
                    column[key] = column_under(column[key], names)
        if mark != json.loads(marks[b"pandas"]):
            found[b"pandas"] = json.dumps(mark).encode()
    return found


def _remove_empty(folder: Path, root: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
