"""One line per finished episode: written so that neither a kill nor a power cut loses or doubles one.

What all records of a folder are made with is noted by whoever begins and asked of whoever joins or goes on.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatch
from hashlib import blake2b
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.rollout.episodes import Episode
from world_modality.store.files import sync_folder, write_atomically
from world_modality.store.leases import Leases
from world_modality.store.notes import note_text, read_note

UNKNOWN_STATE = -1
"""In an episode, where a record does not know the initial state; ``repeat`` then counts the task's episodes."""
TIMINGS = "timing.jsonl"
"""Beside published records: the timing of each, in the same order."""
OWNERS = "records-*.jsonl"
"""What each owner of a ledger writes, until all is published."""
REMOTE = "remote"
"""What begins a record's device where another process computed the policy."""
SERVED_SOFTWARE = "served "
"""What begins the names of software, among a record's versions, that computed a served policy."""
OPENGL = "opengl"
"""The name, among a record's versions, of what drew its pictures."""
PHYSICS = "physics"
"""The same of how its control steps were computed, where a suite has a quicker step than the benchmark's own."""
QUICK, EXACT = "quick", "exact"
OWN_NOISE = "the policy draws its own noise: the same episode may take another trajectory"
"""A record's note where no seed decides the policy's noise."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What another rollout of the same episode need not share with this one."""

    attempts: int  # 1 unless the simulator crashed on the way, or the policy was lost
    crashes: str  # why earlier attempts did; empty otherwise
    wall_s: float  # seconds of the attempt that counted


@dataclass(frozen=True, slots=True)
class Record:
    """The outcome of one episode; all but ``timing`` follows from cell, episode and software.

    None and empty texts stand for what an imported record's source does not say.
    """

    suite: str
    assets: str  # where the simulator's assets came from: "package", "hub@COMMIT" or "folder"
    assets_digest: str
    render: str  # how its pictures were drawn
    task: int
    language: str  # the instruction the policy was given
    init_state: int | None  # None: an imported record's, if it is not certain; then nothing is paired with it
    init_state_digest: str
    settled: Mapping[str, Sequence[float]]  # poses before the first action: m, and a quaternion w, x, y, z
    start_fault: str  # what of that scene is not as in the physics of published evaluations; mostly empty
    repeat: int
    environment_seed: int | None
    flow_seed: int | None  # of the first replan; None if the policy draws noise of its own
    checkpoint: str  # key of the train stage
    trained_memory: str  # memory mode the checkpoint was trained with
    memory: str  # memory mode it was rolled out with
    success: bool
    steps: int | None  # control steps until success, or the horizon
    progress: float | None  # fraction of the goal's parts that held at the end, 0 to 1
    episode_return: float | None  # sum of the simulator's rewards
    replans: int | None
    trajectory_digest: (
        str  # 16 hex digits over every view at a query and every action executed: equal digests, equal trajectories
    )
    note: str  # what a reader must know of it, such as how it was imported; mostly empty
    device: str
    versions: Mapping[str, str]
    distances: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """By part of the goal, how far it was from holding at the start, at the least, and at the end: m, or a share of a
    joint's way; empty where the simulator cannot tell."""
    timing: Timing | None = field(default=None, compare=False)  # while the cell is in the making

    @property
    def episode(self) -> Episode:
        """Which episode this is the outcome of."""
        return Episode(self.task, UNKNOWN_STATE if self.init_state is None else self.init_state, self.repeat)

    @property
    def software(self) -> str:
        """``versions`` as one text, such as ``lerobot 0.6.1, torch 2.11.0``."""
        return ", ".join(filter(None, (self.software_here, self.software_there)))

    @property
    def settled_text(self) -> str:
        """``settled`` as JSON."""
        return json.dumps(dict(self.settled))

    @property
    def distances_text(self) -> str:
        """``distances`` as JSON."""
        return json.dumps(dict(self.distances))

    @property
    def is_served(self) -> bool:
        """Whether another process computed the policy."""
        return self.device.startswith(REMOTE)

    @property
    def software_here(self) -> str:
        """``software`` without that of the policy's server."""
        return self._software(served=False)

    @property
    def software_there(self) -> str:
        """That of the policy's server, as far as it names some."""
        return self._software(served=True)

    def _software(self, *, served: bool) -> str:
        own = [name for name in sorted(self.versions) if name.startswith(SERVED_SOFTWARE) == served]
        return ", ".join(f"{name} {self.versions[name]}" for name in own)


SHARED_TEXTS = (  # that many records of a file have in common
    *("suite", "assets", "assets_digest", "language", "init_state_digest", "checkpoint", "trained_memory", "memory"),
    *("note", "device", "render", "start_fault"),
)


CONTENT = tuple(each.name for each in fields(Record) if each.name != "timing")
"""A record's fields that are published."""


def to_line(record: Record, *, with_timing: bool = False) -> str:
    """The record as one line of canonical JSON, with its newline; equal records give equal lines without timing."""
    values = asdict(record)
    if not with_timing or record.timing is None:
        del values["timing"]
    return _line(values)


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":")) + "\n"


def from_line(line: str, shared: dict[object, Any] | None = None) -> Record:
    """Parse one line; ValueError or TypeError if it is not a whole record.

    With ``shared``, texts and versions are the same objects as in the records read with it before: a million records
    then fit into memory.
    """
    values = json.loads(line)
    timing = values.pop("timing", None) if isinstance(values, dict) else None
    if not isinstance(values, dict) or set(values) != set(CONTENT) or not isinstance(values["versions"], dict):
        raise ValueError("not a rollout record")
    if shared is not None:
        for name in SHARED_TEXTS:
            values[name] = shared.setdefault(values[name], values[name])
        values["versions"] = shared.setdefault(tuple(values["versions"].items()), values["versions"])
        scene = tuple(values[name] for name in ("suite", "task", "init_state_digest", "environment_seed"))
        first = shared.setdefault(scene, values["settled"])
        values["settled"] = first if first == values["settled"] else values["settled"]
    return Record(**values, timing=None if timing is None else Timing(**timing))


def read_records(path: Path) -> tuple[Record, ...]:
    """All records of a sealed file, of which UserError names a damaged line; or of an owner's in a ledger."""
    if fnmatch(path.name, OWNERS):
        return tuple(_parse(path, _intact(path.read_bytes())))
    return tuple(_parse(path, path.read_text().splitlines()))


def read_unfinished(folder: Path) -> tuple[Record, ...]:
    """The records of a cell in the making, each episode's first; none if there is no such folder. Changes nothing.

    A line without its end is still being written, or its writer was killed; a damaged one stands for nothing. UserError
    as ``read_records``.
    """
    found: dict[Episode, Record] = {}
    for path in sorted(folder.glob(OWNERS)):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # sealed in this moment, and removed with its stage's work
            continue
        for record in _parse(path, _intact(content)):
            found.setdefault(record.episode, record)
    return tuple(found[episode] for episode in sorted(found))


def _parse(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    shared: dict[object, Any] = {}
    for number, line in enumerate(lines, 1):
        try:
            yield from_line(line, shared)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}:{number} is not a rollout record ({error}); delete that line and run again, which makes its "
                "episode anew"
            ) from None


def to_ledger_line(record: Record) -> str:
    """``to_line`` with timing and the line's digest: what a ledger is written in.

    A bit that was flipped on a disk, or two lines that ran into one, do not agree with it.
    """
    text = to_line(record, with_timing=True).removesuffix("\n")
    return f"{text}\t{_line_digest(text.encode()).decode()}\n"


def _line_digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=8).hexdigest().encode()


def _intact(content: bytes) -> Iterator[str]:
    """The whole lines of a file that bear their own digest, without it: any other's episode is made anew."""
    for line in content[: content.rfind(b"\n") + 1].split(b"\n"):
        text, _, digest = line.rpartition(b"\t")
        if text and digest == _line_digest(text):
            yield text.decode()


class Ledger:
    """The records of a cell in the making, in a folder that several processes or machines may share.

    Every owner appends to a file of its own, fsynced line by line, so nobody can damage another's records. Each line
    bears a digest; one that is damaged stands for nothing, and its episode is made anew.
    """

    def __init__(self, folder: Path, episodes: Iterable[Episode], leases: Leases | None = None) -> None:
        """Open ``folder``, creating it, for the given episodes; records of others are left alone.

        FileNotFoundError if the folder that it lies in is gone: others finished everything since it was prepared, and
        removed their records once they were sealed, so what looks empty is not to be done again.
        """
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
        self._folder = folder
        self._episodes = tuple(sorted(episodes))
        self._leases = leases or Leases(folder / "leases")
        self._own = folder / f"records-{uuid.uuid4().hex[:12]}.jsonl"
        self._done: dict[Episode, Record] = {}
        self._read_up_to: dict[Path, int] = {}  # bytes
        self.refresh()

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """All episodes of the cell, sorted."""
        return self._episodes

    @property
    def done(self) -> Mapping[Episode, Record]:
        """Finished episodes and their records, as far as they have been read."""
        return self._done

    def refresh(self) -> None:
        """Read what others have written."""
        wanted = set(self._episodes)
        for path in self._files():
            for record in self._whole_lines(path) if path != self._own else ():
                if record.episode in wanted:
                    self._done.setdefault(record.episode, record)

    def claim(self) -> Episode | None:
        """The first episode that nobody has finished or works on, ours from now on; None if there is none at
        present."""
        left = {_lease(episode): episode for episode in self._episodes if episode not in self._done}
        free = [name for name in left if not self._leases.holds(name)]
        while name := self._leases.claim_first(free):
            self.refresh()  # its last owner may have finished it just before
            if left[name] not in self._done:
                return left[name]
            self._leases.leave(name)
            free = [name for name in free if left[name] not in self._done]
        return None

    def append(self, record: Record) -> bool:
        """Write one record through to the disk; its episode stays this owner's until all who share the folder can know.

        False, with nothing written, if this owner slept so long that its episode was taken over: whoever has it now
        records the same outcome, or has done so.
        """
        name = _lease(record.episode)
        self.refresh()
        written = record.episode not in self._done and self._write_if_held(record, name)
        self._leases.leave(name)
        return written

    def renew(self) -> None:
        """Say that this owner gets on: who does not for long loses its episodes to others."""
        self._leases.renew()

    def close(self) -> None:
        """Let go of every episode that has no record of this owner's."""
        self._leases.close()

    def tidy(self) -> None:
        """Remove the leases of episodes that have a record, once all do and no other owner needs to be told."""
        for episode in self._done:
            self._leases.remove(_lease(episode))

    def publish(self, target: Path, timings: Path) -> None:
        """Write all records of the folder, sorted by episode, to ``target``, and how long each took to ``timings``.

        Atomic, repeatable, the same by any owner; ``target`` is the same by whomever the episodes are rolled out, too.
        Also those of episodes that are not asked for now. Of two records of an episode, which can only be when its
        owner was
        stopped between its last look at its lease and the next line of this program, the first file's by name counts.
        """
        self._read_up_to.clear()
        found: dict[Episode, Record] = {}
        for path in self._files():
            for record in self._whole_lines(path):
                found.setdefault(record.episode, record)
        if not found.keys() >= set(self._episodes):  # taken away while this owner slept: never publish a part
            raise FileNotFoundError(f"{self._folder} lacks records that it had")
        ordered = [found[episode] for episode in sorted(found)]
        write_atomically(timings, "".join(map(_timing_line, ordered)).encode())
        write_atomically(target, "".join(map(to_line, ordered)).encode())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(OWNERS))

    def _whole_lines(self, path: Path) -> Iterator[Record]:
        """What is new in a file. A line without its end is still being written, or its writer was killed."""
        start = self._read_up_to.get(path, 0)
        with path.open("rb") as file:
            file.seek(start)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read_up_to[path] = start + len(whole)
        return _parse(path, _intact(whole))

    def _write_if_held(self, record: Record, lease: str) -> bool:
        """All is ready before the look at the lease, so that hardly anything can come between it and the line."""
        line = to_ledger_line(record).encode()
        with self._own.open("ab") as file:
            new = not file.tell()
            if not self._leases.still_holds(lease):
                return False
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self._folder)
        self._done[record.episode] = record
        return True


def _timing_line(record: Record) -> str:
    timing = {} if record.timing is None else asdict(record.timing)
    return _line({**asdict(record.episode), **timing})


def _lease(episode: Episode) -> str:
    return f"task{episode.task}_init{episode.init_state}_repeat{episode.repeat}"


class DamagedNote(Exception):
    """The note of what records are made with is not as it was written."""


def disagreement(note: Path, wanted: Mapping[str, Any], *, anew: bool = False) -> tuple[str, Any, Any] | None:
    """Note what records are made with, or compare it with the note that is there; ``anew`` writes over that one.

    None if they agree; else the first name that does not, what the note says of it, and what is wanted. Of several
    owners that begin at once one writes the note and the others compare, whatever machine they are on.

    Raises:
        DamagedNote: the note that is there says nothing any more.
    """
    draft = note.with_name(f".{note.name}.{uuid.uuid4().hex}.draft")
    draft.write_text(note_text(wanted))
    try:
        if anew:
            draft.replace(note)
            return None
        os.link(draft, note)
    except FileExistsError:
        found, told = read_note(note), read_note(draft)
        if found is None or told is None:
            raise DamagedNote(str(note)) from None
        return next(((name, found.get(name), told[name]) for name in told if found.get(name) != told[name]), None)
    finally:
        draft.unlink(missing_ok=True)
    return None
