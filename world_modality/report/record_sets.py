"""Sets of records from wherever they lie: a study's condition, an evaluation, one file, LeRobot's own results."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.report.results import Trial
from world_modality.rollout.imported import import_eval_info
from world_modality.rollout.records import OWNERS, Record, read_records

SEED = re.compile(r"seed(\d+)")


@dataclass(frozen=True)
class RecordSet:
    """Records of one arm, by trial and sorted."""

    name: str
    records: dict[Trial, Record]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds, or numbers that stand for them, sorted."""
        return tuple(sorted({trial.seed for trial in self.records}))


def read_set(path: Path) -> RecordSet:
    """All records at ``path``: a ``.jsonl`` file, lerobot-eval's ``eval_info.json``, or a folder with such files below.

    The training seed is that of the folder's name (``seed3``); records of a place without one are numbered by their
    checkpoint, in the order of the files' paths. UserError if there are none, or an episode comes twice.
    """
    records: dict[Trial, Record] = {}
    numbers: dict[str, int] = {}
    for file, seed in _files(path):
        for record in _read(file):
            number = seed if seed is not None else numbers.setdefault(record.checkpoint, len(numbers))
            trial = Trial.of(record, number)
            if trial in records:
                raise UserError(
                    f"{path} holds two records of {trial} (the second in {file}): name a folder of one arm's rollouts "
                    "in one memory mode"
                )
            records[trial] = record
    if not records:
        raise UserError(f"{path} holds no records: name a folder of rollouts, a file of records or an eval_info.json")
    return RecordSet(_name(path), dict(sorted(records.items())))


def _files(path: Path) -> Sequence[tuple[Path, int | None]]:
    """The record files at a path, sorted, and the training seed that a folder on the way names."""
    path = _full(path)
    if path.is_file():
        return [(path, _seed(path))]
    if not path.is_dir():
        raise UserError(f"there is no {path}: name a folder of rollouts, a file of records or an eval_info.json")
    found = []
    for folder, below, names in os.walk(path, followlinks=True):  # a study's links by name are links
        below.sort()
        if Path(f"{folder}.jsonl").is_file():
            names = [name for name in names if not fnmatch(name, OWNERS)]  # published beside the folder
        found += [Path(folder) / name for name in sorted(names) if name.endswith(".jsonl") or name == "eval_info.json"]
    return [(file, _seed(file)) for file in found]


def _full(path: Path) -> Path:
    """The path from the root, by the names as they were written: links of a study say more than where they lead."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the links


def _seed(place: Path) -> int | None:
    """Of the folder nearest to the file."""
    named = [match for part in place.parts if (match := SEED.fullmatch(part))]
    return int(named[-1][1]) if named else None


def _read(file: Path) -> tuple[Record, ...]:
    if file.suffix == ".json":
        return import_eval_info(file, str(file.parent))
    try:
        return read_records(file)
    except (UserError, UnicodeDecodeError) as error:
        what = str(error).partition(";")[0] if isinstance(error, UserError) else f"{file} is no text"
        raise UserError(f"{what}: name a folder of rollouts, a file of records or an eval_info.json") from error


def _name(path: Path) -> str:
    """What the set is called: the last part of its path that is a name rather than a kind of file."""
    full = _full(path)
    plain = full.with_suffix("") if full.is_file() else full
    own = [
        part for part in plain.parts if part not in ("records", "artifact", "eval_info", "rollouts", "/", *SUITES.names)
    ]
    return own[-1] if own else str(path)
