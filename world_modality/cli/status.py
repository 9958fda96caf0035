"""What `wm status` tells of a study: how its stages stand, episodes and success so far, pace, disk and cost.

Only looks: it runs nothing, asks nobody, and needs no run to be alive. Sealed results never change, so whoever looks
again (`--watch`) reads only what is not sealed yet.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.store.damage import DamageFound
from world_modality.store.files import names_in
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.look import Look, State, bytes_below, look
from world_modality.store.run_lock import holder
from world_modality.study.outline import Outline, Step

WINDOW_S = 3600.0
"""The pace is that of the last hour, or of so much of it as there was work."""
GPU_DEVICES = ("cuda", "mps")
WAITING = Look("waiting")


@dataclass(frozen=True)
class Standing:
    """A stage, and how it stands."""

    step: Step
    look: Look
    episodes: int = 0  # of a rollout, recorded so far
    successes: int = 0

    @property
    def folder(self) -> str:
        """Below the results tree."""
        return f"{self.step.stage}/{self.step.key}"


@dataclass
class Group:
    """Stages that are counted together: those of a kind, or the rollouts of a condition."""

    states: Counter[State] = field(default_factory=Counter)
    episodes: int = 0
    planned: int = 0
    successes: int = 0

    def add(self, each: Standing) -> None:
        """Count one more."""
        self.states[each.look.state] += 1
        self.episodes += each.episodes
        self.planned += each.step.episodes
        self.successes += each.successes


@dataclass(frozen=True)
class Spent:
    """Hours of work on what is sealed and what is under way."""

    gpu: float  # of stages that computed on a GPU, wall time times the GPUs that they held
    core: float  # of all others, wall time times the cores they were given

    def cost(self, price: float) -> tuple[float, str]:
        """At a price per GPU-hour; where no GPU was used, per core-hour. The sum, and which hours it is of."""
        return (price * self.gpu, "GPU-hour") if self.gpu else (price * self.core, "core-hour")


@dataclass(frozen=True)
class Status:
    """A study's state at one moment."""

    root: Path  # results tree
    study: str
    holder: str  # who runs something in this tree; "" for nobody
    kinds: Mapping[str, Group]
    conditions: Mapping[str, Group]
    standings: Sequence[Standing]
    pace: float  # episodes per hour, of late
    left: float | None  # seconds until all is done, as far as it can be told; None if nothing is going on
    unknown: Sequence[str]  # kinds of which nothing is known yet to tell their time by
    used: int  # bytes of the study's stages
    free: int  # bytes on that disk
    spent: Spent

    def of(self, *states: State) -> list[Standing]:
        """The stages in these states, in the study's order."""
        return [each for each in self.standings if each.look.state in states]


class Watcher:
    """Looks at a study, again and again if need be."""

    def __init__(self, root: Path, outline: Outline, clock: Callable[[], float] = time.time) -> None:
        self._root, self.outline, self._clock = root, outline, clock
        self._sealed: dict[str, Standing] = {}

    def status(self) -> Status:
        """The state now."""
        there = {
            kind: set(names_in(self._root / kind)) for kind in {step.stage for step in self.outline.steps.values()}
        }
        verified = DamageFound(self._root)
        standings = {
            key: _as_verified(self._standing(step, key in there[step.stage]), verified)
            for key, step in self.outline.steps.items()
        }
        self._sealed = {key: each for key, each in standings.items() if each.look.state == "done"}
        every = list(standings.values())
        kinds = {kind: _group(each for each in every if each.step.stage == kind) for kind in STAGES.names}
        kinds = {kind: group for kind, group in kinds.items() if group.states}
        places = self.outline.places
        conditions: dict[str, Group] = {condition: Group() for condition in self.outline.arms}
        for step in self.outline.of("rollout"):
            for condition in dict.fromkeys(place.condition for place in places[step.key]):
                conditions[condition].add(standings[step.key])
        pace = _pace(every, self._clock())
        left, unknown = _left(every, pace)
        return Status(
            root=self._root,
            study=self.outline.study,
            holder=holder(self._root),
            kinds=kinds,
            conditions=conditions,
            standings=every,
            pace=pace,
            left=left,
            unknown=unknown,
            used=sum(map(self._size, every)),
            free=shutil.disk_usage(self._root if self._root.is_dir() else Path()).free,
            spent=_spent(every),
        )

    def _standing(self, step: Step, there: bool) -> Standing:
        known = self._sealed.get(step.key)
        if known is not None and there:
            return known
        folder = stage_folder(self._root, step.stage, step.key)
        found = look(folder) if there else WAITING
        if step.stage != "rollout" or found.state == "waiting":
            return Standing(step, found)
        if found.state == "done" and "successes" in found.facts:
            return Standing(step, found, int(found.facts["episodes"]), int(found.facts["successes"]))
        outcomes, damage = _recorded(folder)
        if damage and found.state != "running":
            found = Look("damaged", seconds=found.seconds, reason=damage, idle=found.idle, attempt=found.attempt)
        return Standing(step, found, len(outcomes), sum(outcomes))

    def _size(self, each: Standing) -> int:
        if each.look.state in ("done", "waiting"):
            return each.look.size
        return bytes_below(stage_folder(self._root, each.step.stage, each.step.key).path)


def _as_verified(each: Standing, verified: DamageFound) -> Standing:
    """With what `wm verify` found of a stage whose files are all there."""
    step, now = each.step, each.look
    found = verified.of(step.stage, step.key, now.run) if now.state == "done" else ""
    return replace(each, look=replace(now, state="damaged", reason=f"{found} (wm verify)")) if found else each


def _group(standings: Iterable[Standing]) -> Group:
    group = Group()
    for each in standings:
        group.add(each)
    return group


def _recorded(folder: StageFolder) -> tuple[list[bool], str]:
    """Outcomes of the episodes that a rollout has recorded, and what is wrong with the records."""
    sealed, unsealed = folder.artifact / "records.jsonl", folder.work / "records"
    if not sealed.is_file() and not unsealed.is_dir():
        return [], ""
    from world_modality.rollout.records import read_records, read_unfinished  # where there are some: it brings pydantic

    try:
        records = read_records(sealed) if sealed.is_file() else read_unfinished(unsealed)
        return [record.success for record in records], ""
    except UserError as error:
        return [], str(error)


def _pace(standings: Iterable[Standing], now: float) -> float:
    """Episodes per hour of late: what was rolled out within the window, over the time since its first such work."""
    count, earliest = 0.0, now
    for each in standings:
        span = _span(each, now) if each.episodes else None
        if span is None or span[1] <= now - WINDOW_S:
            continue
        start, end = span
        inside = end - max(start, now - WINDOW_S)
        count += each.episodes * (inside / (end - start) if end > start else 1.0)
        earliest = min(earliest, max(start, now - WINDOW_S))
    return 3600.0 * count / (now - earliest) if now > earliest else 0.0


def _span(each: Standing, now: float) -> tuple[float, float] | None:
    """When the work on a rollout began and ended, as far as is known; it may have been interrupted in between."""
    if each.look.state != "done":
        end = now - each.look.idle
        return end - each.look.seconds, end
    try:
        end = datetime.fromisoformat(each.look.run["sealed_at"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
    return end - each.look.seconds, end


def _left(standings: Sequence[Standing], pace: float) -> tuple[float | None, list[str]]:
    """Seconds until everything is done if it goes on as of late, and the kinds that cannot be told.

    Rollouts by the pace; the stages of any other kind by the median of those that are done, as many at once as now.
    """
    if not any(each.look.state == "running" for each in standings):
        return None, []
    seconds, unknown = 0.0, []
    for kind in dict.fromkeys(each.step.stage for each in standings):
        own = [each for each in standings if each.step.stage == kind]
        open_ = [each for each in own if each.look.state != "done"]
        if not open_:
            continue
        if kind == "rollout" and pace:
            seconds += 3600.0 * sum(each.step.episodes - each.episodes for each in open_) / pace
            continue
        known = [each.look.seconds for each in own if each.look.state == "done" and each.look.seconds]
        if known:
            at_once = max(1, sum(each.look.state == "running" for each in open_))
            seconds += statistics.median(known) * sum(1.0 - share_done(each.look.line) for each in open_) / at_once
        else:
            unknown.append(kind)
    return seconds, unknown


def share_done(line: str) -> float:
    """How much of a stage its line of progress says is done, 0 to 1: ``... 18/24 episodes ...`` is 0.75."""
    for word in line.split():
        done, slash, total = word.partition("/")
        try:
            if slash and float(total) > 0:
                return min(1.0, float(done) / float(total))
        except ValueError:
            continue
    return 0.0


def _spent(standings: Iterable[Standing]) -> Spent:
    worked = [each for each in standings if each.look.seconds]
    with_gpu = {_host(each) for each in worked if str(each.look.facts.get("device", "")).startswith(GPU_DEVICES)}
    gpu = core = 0.0
    for each in worked:
        if _on_gpu(each, with_gpu):
            gpu += each.look.gpu_seconds or each.look.seconds * _processes(each)
        else:
            core += each.look.seconds * _cores(each)
    return Spent(gpu / 3600.0, core / 3600.0)


def _on_gpu(each: Standing, with_gpu: set[str]) -> bool:
    """Whether a stage computed on a GPU: as its result says, or else if it holds one, or could and there is one."""
    device = each.look.facts.get("device")
    if device is not None:
        return str(device).startswith(GPU_DEVICES)
    return each.look.gpu_seconds > 0 or (STAGES[each.step.stage].needs.gpu and _host(each) in with_gpu)


def _host(each: Standing) -> str:
    if each.look.attempt is not None:
        return each.look.attempt.host
    machine = each.look.run.get("machine", {})
    return str(machine.get("host", "")) if isinstance(machine, Mapping) else ""


def _processes(each: Standing) -> int:
    """How many GPUs a stage held at the least, where that was not noted: one for each process of a training."""
    told = each.look.facts.get("processes", 1)
    return told if isinstance(told, int) and told > 0 else 1


def _cores(each: Standing) -> int:
    """Those that the work was given; one where it was not noted."""
    given: Any = each.look.attempt.cores if each.look.attempt else each.look.run.get("cores", 0)
    return max(1, int(given or 1))
