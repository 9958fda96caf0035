"""`wm sync`: all of a results tree to a remote or back, once or again and again, while studies run on both sides."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.store.done import DoneFile
from world_modality.store.index import sealed_done, sealed_stages
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.progress import Progress
from world_modality.store.room import file_sentence
from world_modality.trees.arrival import Busy
from world_modality.trees.names import ATTEMPTS, DONE, UNFINISHED, place_of
from world_modality.trees.plans import pull_plans, push_plans
from world_modality.trees.remote import Refused, Remote, RemoteError
from world_modality.trees.transfer import artifact_items, pull_sealed, push_sealed
from world_modality.trees.unfinished import Digests, pull_unfinished, push_unfinished

MEGABYTE = 1e6
Say = Callable[[str], None]
Stages = Collection[tuple[str, str]]
"""(stage, key) of each."""


@dataclass
class Copied:
    """What one pass did."""

    sealed: int = 0
    unfinished: int = 0
    plans: int = 0
    busy: int = 0
    refused: list[str] = field(default_factory=list)

    def line(self, word: str, remote: Remote) -> str:
        """For a person."""
        parts = [f"{self.sealed} sealed", f"{self.unfinished} unfinished", f"{self.plans} plans"]
        busy = f"; {self.busy} left to those who work on them here" if self.busy else ""
        refused = f"; {len(self.refused)} NOT copied" if self.refused else ""
        return f"{word:<12} {', '.join(parts)}: {remote.title}{busy}{refused}"


class _Meter:
    """Progress in megabytes."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, round(total / MEGABYTE, 1), 0
        self.facts = ""

    def __call__(self, size: int) -> None:
        self._done += size
        done = round(self._done / MEGABYTE, 1)
        if done < self._total:  # what tells of a result's making may come on top
            self._progress.update(done, self._total, "MB", self.facts)

    def end(self) -> None:
        """The last line, if anything was copied."""
        if self._done:
            self._progress.update(self._total, self._total, "MB", self.facts)


class Syncing:
    """A results tree and a remote. It remembers digests from pass to pass."""

    def __init__(
        self, remote: Remote, root: Path, only: Stages | None, progress: Progress, *, unfinished: bool = True
    ) -> None:
        """``only`` these stages, None for all; with ``unfinished``, what stages in the making have so far, too."""
        self._remote, self._root, self._only, self._progress = remote, root, only, progress
        self._unfinished = unfinished
        self._digests: Digests = {}

    def push(self) -> Copied:
        """Copy what the remote lacks; the next call goes on.

        Raises:
            RemoteError: the remote fails.
            UserError: files of this tree do.
        """
        with _telling(self._root):
            return self._push()

    def _push(self) -> Copied:
        copied, there = Copied(), self._remote.files("")
        copied.plans = push_plans(self._remote, self._root)
        new: list[DoneFile] = []
        for folder, record in sealed_stages(self._root, STAGES.names):
            stage, key = folder.path.parts[-2:]
            if not self._is_meant(stage, key):
                continue
            if f"{stage}/{key}/{DONE}" not in there or _differs(record, there):
                new.append(record)
        meter = _Meter(self._progress, sum(item.size for record in new for item in artifact_items(record)))
        for number, record in enumerate(new, 1):
            meter.facts = f"{record.label}, stage {number} of {len(new)}"
            try:
                pushed = push_sealed(self._remote, self._root, record.stage, record.key, meter)
                copied.sealed += pushed
                if not pushed and f"{record.stage}/{record.key}/{DONE}" in there:
                    copied.refused.append(
                        f"{self._remote.title}: {record.stage}/{record.key} ({record.label}) lacks files that it was "
                        "sealed with: remove that folder there, and the next push brings it anew"
                    )
            except Refused as refusal:
                copied.refused.append(str(refusal))
        meter.end()
        for stage, key in self._unsealed() if self._unfinished else ():
            if f"{stage}/{key}/{DONE}" not in there:
                copied.unfinished += push_unfinished(self._remote, self._root, stage, key, self._digests, _ignore)
        return copied

    def pull(self) -> Copied:
        """Copy what is not here. Raises as ``push``."""
        with _telling(self._root):
            return self._pull()

    def _pull(self) -> Copied:
        copied, there = Copied(), self._remote.files("")
        copied.plans = pull_plans(self._remote, self._root)
        sizes = Counter[tuple[str, str]]()
        for name, size in there.items():
            place = place_of(name)
            if place:
                sizes[place.stage, place.key] += size
        sealed = [each for each in sizes if "/".join((*each, DONE)) in there and self._is_meant(*each)]
        new = [each for each in sealed if self._is_new(*each, there)]
        meter = _Meter(self._progress, sum(sizes[each] for each in new))
        for number, (stage, key) in enumerate(sorted(new, key=_order), 1):
            meter.facts = f"{stage} {key}, stage {number} of {len(new)}"
            try:
                copied.sealed += pull_sealed(self._remote, self._root, stage, key, meter)
            except Busy:
                copied.busy += 1
            except Refused as refusal:
                copied.refused.append(str(refusal))
        meter.end()
        for stage, key in sorted(_begun(there) - set(sealed), key=_order) if self._unfinished else ():
            if self._is_meant(stage, key):
                copied.unfinished += pull_unfinished(self._remote, self._root, stage, key, _ignore)
        return copied

    def _is_new(self, stage: str, key: str, there: Mapping[str, int]) -> bool:
        record = sealed_done(stage_folder(self._root, stage, key))
        return record is None or _differs(record, there)

    def _is_meant(self, stage: str, key: str) -> bool:
        return self._only is None or (stage, key) in self._only

    def _unsealed(self) -> list[tuple[str, str]]:
        """Stages that were begun here and are not sealed."""
        begun = (path for stage in STAGES.names for path in sorted((self._root / stage).glob(f"*/{ATTEMPTS}")))
        found = [path.parts[-3:-1] for path in begun if sealed_done(StageFolder(path.parent)) is None]
        return [(stage, key) for stage, key in found if self._is_meant(stage, key)]


@contextmanager
def _telling(root: Path) -> Iterator[None]:
    """Tell in one sentence what goes wrong with files of a tree."""
    try:
        yield
    except OSError as error:
        raise UserError(file_sentence(error, root)) from error


def _ignore(_size: int) -> None:
    """Copies of unfinished stages are small, and have no line of their own."""


def _begun(there: Mapping[str, int]) -> set[tuple[str, str]]:
    """Stages of whose making a remote has a copy."""
    inside = (name.removeprefix(f"{UNFINISHED}/") for name in there if name.startswith(f"{UNFINISHED}/"))
    return {(place.stage, place.key) for name in inside if (place := place_of(name))}


def _differs(record: DoneFile, there: Mapping[str, int]) -> bool:
    """Whether a remote's files of a stage tell by their sizes alone that they are not those of a record."""
    return any(there.get(item.name) != item.size for item in artifact_items(record))


def _order(each: tuple[str, ...]) -> tuple[int, str]:
    """What others are made from comes first."""
    return STAGES.names.index(each[0]), each[1]


def repeat(once: Callable[[], Copied], word: str, remote: Remote, every: float | None, say: Say) -> int:
    """Copy once, or every ``every`` seconds until Ctrl-C; the exit status: 1 if anything was not copied.

    A remote that fails is told of once and tried again, and once when it answers again. What fails here, and whatever
    else a person must mend, is told of once, too, until a pass succeeds. Without ``every`` all of them are a UserError.
    """
    failing, refused, failures = False, set[str](), set[str | int | None]()
    while True:
        try:
            copied = once()
        except RemoteError as error:
            if every is None:
                raise UserError(f"{error}: call it again, and it goes on where it was") from error
            if not failing:
                say(f"{word:<12} {error}; tried again every {every:g} s")
            failing = True
        except (OSError, UserError) as error:
            text = file_sentence(error) if isinstance(error, OSError) else str(error)
            if every is None:
                raise UserError(text) from error
            cause = error if isinstance(error, OSError) else error.__cause__
            kind = cause.errno if isinstance(cause, OSError) else text  # drafts and free space differ each time
            if kind not in failures:
                say(f"{word:<12} {text}; tried again every {every:g} s")
            failures.add(kind)
        else:
            failures.clear()
            if failing:
                say(f"{word:<12} {remote.title} answers again")
            failing = False
            for text in copied.refused:
                if text not in refused:
                    say(text)
                refused.add(text)
            if every is None or copied.sealed or copied.unfinished or copied.plans:
                say(copied.line(word, remote))
            if every is None:
                return 1 if copied.refused else 0
        time.sleep(every)
