"""One line per finished unit: written so that neither a kill nor a power cut loses or doubles one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from world_modality.errors import UserError
from world_modality.rollout.units import Unit
from world_modality.store.files import sync_folder, write_atomically


@dataclass(frozen=True, slots=True)
class Record:
    """The outcome of one unit; all but ``attempts``, ``note`` and ``wall_s`` follows from cell, unit and software."""

    suite: str
    assets: str  # where the simulator's assets came from: "embedded", "hub@COMMIT" or a folder's path
    assets_digest: str
    task: int
    language: str  # the instruction the policy was given
    init_state: int
    init_state_digest: str
    repeat: int
    environment_seed: int
    flow_seed: int  # of the first replan
    checkpoint: str  # key of the train stage
    trained_memory: str  # memory mode the checkpoint was trained with
    memory: str  # memory mode it was rolled out with
    success: bool
    steps: int  # control steps until success, or the horizon
    episode_return: float  # sum of LIBERO's sparse reward: 1 at success, else 0
    replans: int
    attempts: int  # 1 unless the simulator crashed on the way
    note: str  # why earlier attempts crashed; empty otherwise
    device: str
    versions: Mapping[str, str]
    wall_s: float  # seconds of the attempt that counted

    @property
    def unit(self) -> Unit:
        """Which unit this is the outcome of."""
        return Unit(self.task, self.init_state, self.repeat)


def to_line(record: Record) -> str:
    """The record as one line of canonical JSON, with its newline."""
    return json.dumps(asdict(record), sort_keys=True, separators=(",", ":")) + "\n"


def from_line(line: str) -> Record:
    """Parse one line; ValueError if it is not a whole record."""
    values = json.loads(line)
    names = {field.name for field in fields(Record)}
    if not isinstance(values, dict) or set(values) != names:
        raise ValueError("not a rollout record")
    return Record(**values)


def read_records(path: Path) -> tuple[Record, ...]:
    """All records of a sealed file; UserError names the file and line of a damaged one."""
    return tuple(_parse(path, path.read_text().splitlines()))


def _parse(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        try:
            yield from_line(line)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}:{number} is not a rollout record ({error}); delete this stage's folder and run again."
            ) from None


class Journal:
    """The records of a cell in the making: append-only, fsynced line by line, one per unit."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, creating it; a last line torn by a crash is cut off, since its unit was never reported."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        whole = path.read_bytes()
        keep = whole.rfind(b"\n") + 1
        if keep < len(whole):
            with path.open("r+b") as file:
                file.truncate(keep)
                os.fsync(file.fileno())
        sync_folder(path.parent)
        self._path = path
        self._done = {record.unit: record for record in _parse(path, whole[:keep].decode().splitlines())}

    @property
    def done(self) -> Mapping[Unit, Record]:
        """Finished units and their records."""
        return self._done

    def append(self, record: Record) -> None:
        """Write one record through to the disk; ValueError if its unit has one already."""
        if record.unit in self._done:
            raise ValueError(f"{record.unit} has a record already")
        with self._path.open("ab") as file:
            file.write(to_line(record).encode())
            file.flush()
            os.fsync(file.fileno())
        self._done[record.unit] = record

    def publish(self, target: Path) -> None:
        """Write all records, sorted by unit, to ``target``; atomic and repeatable."""
        write_atomically(target, "".join(to_line(self._done[unit]) for unit in sorted(self._done)).encode())
