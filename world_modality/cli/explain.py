"""What a results tree tells: what would run, and why; what is damaged; and the table of what is finished."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.cli.parts import Part
from world_modality.cli.planning import Planned, done_records
from world_modality.cli.relatives import Relative, changed
from world_modality.errors import UserError, counted
from world_modality.facts.stages import STAGES
from world_modality.report.console import console_lines
from world_modality.store.damage import note_damage
from world_modality.store.done import read_run
from world_modality.store.index import Unfinished, sealed_done, unfinished
from world_modality.store.layout import StageFolder, names_folder, stage_folder
from world_modality.store.links import linked_key
from world_modality.store.progress import format_seconds
from world_modality.store.stage import StageRequest
from world_modality.store.verify import verify
from world_modality.study.graph import Graph
from world_modality.study.sources import SERVED
from world_modality.study.specs import BEFORE, TrainSpec

EXPLAINED = 20  # missing stages per kind that get a reason of their own


@dataclass(frozen=True)
class Outlook:
    """A study's state in a results tree."""

    planned: Planned
    done: frozenset[str]
    sealed: Mapping[str, Sequence[Relative]]  # by kind, of kinds with something missing
    seconds: Mapping[str, Sequence[float]]  # that each of these took, as far as is known
    linked: Mapping[str, frozenset[str]]  # by key of the graph: what its names for people lead to, be it there or not
    proven: frozenset[str]  # keys that results of the study which are there were made from
    part: Part | None = None  # that is asked for, if it is not the whole study

    @property
    def stages(self) -> list[StageRequest]:
        """The stages that are asked for, in order."""
        every = self.planned.graph.stages
        return [request for key, request in every.items() if self.part is None or key in self.part.keys]

    @property
    def missing(self) -> list[StageRequest]:
        """Stages to run, in order."""
        return [request for request in self.stages if request.key not in self.done]


def survey(root: Path, planned: Planned, part: Part | None = None) -> Outlook:
    """Look which stages of a study are sealed, and what else is, of the kinds that are not complete. Plans a part, if
    there is one."""
    graph = planned.graph
    known = done_records(root, graph)
    done = frozenset(known)
    sealed: dict[str, list[Relative]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    for kind in sorted({request.stage for key, request in graph.stages.items() if key not in done}):
        for path in sorted((root / kind).glob("*")):
            own = path.name in graph.stages
            record = known.get(path.name) if own else sealed_done(StageFolder(path))
            if record is not None:
                sealed[kind].append(Relative(record))
                seconds[kind] += [run.wall_seconds] if (run := read_run(StageFolder(path).run)) else []
    return Outlook(planned, done, sealed, seconds, _linked(root, graph), _proven(graph, done), part)


def _linked(root: Path, graph: Graph) -> dict[str, frozenset[str]]:
    """The keys that the links of the study's last run lead to, in the places of the present ones."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, key in graph.names.items() if names_folder(root, graph.study).is_dir() else ():
        earlier = linked_key(root, graph.study, name)
        if earlier is not None:
            found[key].add(earlier)
    return {key: frozenset(earlier) for key, earlier in found.items()}


def _proven(graph: Graph, done: frozenset[str]) -> frozenset[str]:
    return frozenset(source.key for key in done for source in graph.stages[key].inputs)


def explain(root: Path, outlook: Outlook, cores: int | None) -> list[str]:
    """The plan in a few lines: the study, how much is to do, and per kind of stage why."""
    part, wanted, missing = outlook.part, outlook.stages, outlook.missing
    lines = [f"study        {outlook.planned.headline}", *unresolved_lines(outlook.planned)]
    if outlook.planned.looks is not None:
        lines.append(f"looks        {outlook.planned.looks.told()}")
    whole = len(outlook.planned.graph.stages)
    share = f"{len(wanted)} of " if part else ""
    whose = f", {' '.join(part.words)} and {part.needs}" if part else ""
    count = f"{len(wanted) - len(missing)} done, {len(missing)} to run"
    lines.append(f"plan         {share}{counted(whole, 'stage')}{whose}: {count}{_estimate(outlook, cores)}")
    for kind in STAGES.names:
        stages = [request for request in wanted if request.stage == kind]
        lacking = [request for request in stages if request.key not in outlook.done]
        if lacking:
            reasons = _reasons(root, outlook, lacking)
            lines.append(f"  {kind:<12} {len(stages) - len(lacking)} of {len(stages)} done; {'; '.join(reasons)}")
    return lines


def unresolved_lines(planned: Planned) -> list[str]:
    """What a plan made without the hub or a policy's server cannot know; nothing of any other plan."""
    if not planned.unresolved:
        return []
    parts = ", ".join(planned.unresolved)
    away = "what tells them" if SERVED in planned.unresolved else "the hub"
    return [f"unresolved   {parts}: {away} is out of reach, so results that exist may be shown as missing"]


def _reasons(root: Path, outlook: Outlook, lacking: Sequence[StageRequest]) -> list[str]:
    """Why these stages of one kind are missing, grouped by reason."""
    waiting, roots = list[StageRequest](), list[StageRequest]()
    for request in lacking:
        waits = any(each.key not in outlook.done for each in request.inputs)
        (waiting if waits else roots).append(request)
    groups: dict[str, list[str]] = defaultdict(list)
    for request in roots[:EXPLAINED]:
        groups[_reason(root, outlook, request)].append(_short(request))
    rest = len(roots) - EXPLAINED
    lines = [
        f"{_some(names)}: {reason}" if reason != "new" else f"{len(names)} new" for reason, names in groups.items()
    ]
    if rest > 0:
        lines.append(f"{rest} more")
    if waiting:
        lines.append(f"{len(waiting)} {'follow' if len(waiting) > 1 else 'follows'} from stages above")
    return lines


def _reason(root: Path, outlook: Outlook, request: StageRequest) -> str:
    started = unfinished(stage_folder(root, request.stage, request.key))
    if started is not None and started.damaged:
        return "damaged, to be made again"
    if started is not None:
        at = f" at {started.last_line.removeprefix(request.label).strip(' #-')}" if started.last_line else ""
        return f"{'running' if started.running else 'interrupted'}{at}"
    before = next((outlook.planned.graph.stages[each.key] for each in request.inputs if each.role == BEFORE), None)
    if before is not None and isinstance(before.spec, TrainSpec):  # it is sealed, or this one would follow from it
        return f"goes on from step {before.spec.last_step}"
    earlier = outlook.linked.get(request.key, frozenset())
    if request.key in earlier or request.key in outlook.proven:
        return "its result was removed"
    return changed(request, outlook.sealed.get(request.stage, ()), earlier)


def _short(request: StageRequest) -> str:
    return request.label.removeprefix(request.stage).strip() or request.stage


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _estimate(outlook: Outlook, cores: int | None) -> str:
    """About how long the missing stages take, if results of every such kind are there to tell."""
    missing = outlook.missing
    if not missing or not cores or any(not outlook.seconds.get(request.stage) for request in missing):
        return ""
    seconds = 0.0
    for request in missing:
        typical = statistics.median(outlook.seconds[request.stage])
        seconds += typical if STAGES[request.stage].needs.all_cores else typical / cores
    return f", about {format_seconds(seconds)} on {cores} cores"


def status_lines(root: Path, graph: Graph, done: frozenset[str]) -> list[str]:
    """Done and missing stages by kind, and how far unfinished ones got."""
    lines = []
    for kind in STAGES.names:
        stages = list(graph.of(kind))
        if stages:
            lines.append(f"{kind:<10} {sum(request.key in done for request in stages)} of {len(stages)} sealed")
            for request in stages:
                started = unfinished(stage_folder(root, kind, request.key)) if request.key not in done else None
                if started is not None:
                    lines.append(f"  {started.last_line or request.label}  ({_state(started)})")
    return lines


def _state(started: Unfinished) -> str:
    if started.running:
        return "running"
    return "damaged" if started.damaged else f"stopped {format_seconds(started.seconds_ago)} ago"


def table_lines(root: Path, graph: Graph) -> list[str]:
    """The sealed report's table for a terminal, and where the page is; nothing if it is not sealed."""
    folder = stage_folder(root, "report", graph.report.key)
    table = folder.artifact / "table.json"
    if not folder.done.exists() or not table.exists():
        return []
    page = names_folder(root, graph.study) / "report.html"
    lines = console_lines(json.loads(table.read_text()))
    return ["", *lines, "", f"report       {page}   (opens offline)"]


def report_damage(root: Path) -> int:
    """Print every damaged stage and a summary, and note them for `wm status`; 1 if there is damage, else 0.

    UserError if there is nothing to check.
    """
    from world_modality.report.sealed_plans import damaged_seals  # imports numpy, which planning a study does without

    if not root.is_dir():
        raise UserError(f"there is no folder {root} here: call `wm verify` where the study was run")
    checked, damaged, drifted = list[StageFolder](), dict[Path, str](), 0
    for folder, findings in verify(root, STAGES.names):
        checked.append(folder)
        for finding in findings:
            if finding.damage:
                damaged.setdefault(folder.path, finding.text)
                print(f"{folder.path} ({finding.label}): {finding.text}")
            else:
                drifted += 1
    note_damage(root, checked, damaged)
    plans = damaged_seals(root)
    for path in plans:
        print(f"{path}: not the plan that was sealed; the next run restores it of its copy, if that is whole")
    told = f", and {counted(len(plans), 'sealed plan')}" if plans else ""
    print(f"{counted(len(checked), 'sealed stage')} checked, {len(damaged)} damaged{told}")
    if drifted:
        notes = counted(drifted, "note")
        print(f"{notes}: made by another version of the library's source, or a record to be restored")
    if damaged:
        print("`wm resume` sets damaged stages aside, below results/damaged, and makes them again")
    return 1 if damaged or plans else 0
