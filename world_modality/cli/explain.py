"""What a results tree tells: what would run, and why; what is damaged; and the table of what is finished."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.cli.planning import Planned, done_keys
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.report.console import console_lines
from world_modality.store.done import DoneFile, read_run
from world_modality.store.index import Unfinished, sealed_stages, unfinished
from world_modality.store.layout import names_folder, stage_folder
from world_modality.store.links import linked_key
from world_modality.store.progress import format_seconds
from world_modality.store.stage import StageRequest
from world_modality.store.verify import verify
from world_modality.study.graph import Graph
from world_modality.study.sources import SERVED
from world_modality.study.specs import BEFORE, TrainSpec, latents_role

EXPLAINED = 20  # missing stages per kind that get a reason of their own
DIFFERENCES = 3  # a sealed stage that differs in more is no relative

Leaves = Mapping[str, Any]


@dataclass(frozen=True)
class Outlook:
    """A study's state in a results tree."""

    planned: Planned
    done: frozenset[str]
    sealed: Mapping[str, Sequence[DoneFile]]  # by kind, of kinds with something missing
    seconds: Mapping[str, Sequence[float]]  # that each of these took, as far as is known
    linked: Mapping[str, frozenset[str]]  # by key of the graph: what its names for people lead to, be it there or not
    proven: frozenset[str]  # keys that results of the study which are there were made from

    @property
    def missing(self) -> list[StageRequest]:
        """Stages to run, in order."""
        return [request for key, request in self.planned.graph.stages.items() if key not in self.done]


def survey(root: Path, planned: Planned) -> Outlook:
    """Look which stages of a study are sealed, and what else is, of the kinds that are not complete."""
    done = done_keys(root, planned.graph)
    kinds = {request.stage for key, request in planned.graph.stages.items() if key not in done}
    sealed: dict[str, list[DoneFile]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    for folder, record in sealed_stages(root, sorted(kinds)):
        sealed[record.stage].append(record)
        if run := read_run(folder.run):
            seconds[record.stage].append(run.wall_seconds)
    return Outlook(planned, done, sealed, seconds, _linked(root, planned.graph), _proven(planned.graph, done))


def _linked(root: Path, graph: Graph) -> dict[str, frozenset[str]]:
    """The keys that the links of the study's last run lead to, in the places of the present ones."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, key in graph.names.items():
        earlier = linked_key(root, graph.study, name)
        if earlier is not None:
            found[key].add(earlier)
    return {key: frozenset(earlier) for key, earlier in found.items()}


def _proven(graph: Graph, done: frozenset[str]) -> frozenset[str]:
    return frozenset(source.key for key in done for source in graph.stages[key].inputs)


def explain(root: Path, outlook: Outlook, cores: int | None) -> list[str]:
    """The plan in a few lines: the study, how much is to do, and per kind of stage why."""
    graph, missing = outlook.planned.graph, outlook.missing
    lines = [f"study        {outlook.planned.headline}", *unresolved_lines(outlook.planned)]
    count = f"{len(graph.stages)} stages: {len(outlook.done)} done, {len(missing)} to run"
    lines.append(f"plan         {count}{_estimate(outlook, cores)}")
    for kind in STAGES.names:
        stages = list(graph.of(kind))
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
    waiting = [request for request in lacking if any(each.key not in outlook.done for each in request.inputs)]
    roots = [request for request in lacking if request not in waiting]
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
    return _changed(outlook, request, earlier)


def _changed(outlook: Outlook, request: StageRequest, earlier: frozenset[str]) -> str:
    """What distinguishes a stage from its nearest sealed relative.

    The nearest in the same place of the same study comes first, then one of the same label, then any other, which is
    named.
    """
    mine = _leaves_of_request(request)
    records = [record for record in outlook.sealed.get(request.stage, ()) if record.key != request.key]
    same_place = [record for record in records if record.key in earlier]
    same_label = [record for record in records if record.label == request.label]
    for relatives in (same_place, same_label, records):
        found = [(differences(leaves := _leaves_of_record(record), mine), record.label, leaves) for record in relatives]
        nearest, label, leaves = min(found, key=lambda each: len(each[0]), default=([], "", {}))
        if 0 < len(nearest) <= DIFFERENCES:
            told = ", ".join(nearest) + _longer(leaves, mine)
            return told if label == request.label or relatives is same_place else f"like {label}, but {told}"
        if relatives is same_place and nearest:
            return f"{', '.join(nearest[:DIFFERENCES])} and {len(nearest) - DIFFERENCES} more settings"
    return "new"


def differences(before: Leaves, after: Leaves) -> list[str]:
    """What distinguishes a stage from a sealed relative, as ``name old -> new``."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if _is_role(name) and old != new:
            found.append("other earlier part" if name == BEFORE else f"other {name.replace('_', ' ')}")
        elif name not in before or name not in after:  # sealed before there was such a setting, or while there was
            found.append(f"{name} is {'no setting any more' if name in before else 'a new setting'}")
        elif old != new:
            found.append(f"{name} {_shown(old)} -> {_shown(new)}")
    return found


def _longer(before: Leaves, after: Leaves) -> str:
    """Of a training that differs from a sealed one in nothing but being longer: whether it can go on from that one."""
    different = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - {"stop"}
    if not {"optim.steps"} <= different <= {"optim.steps", "optim.decay_steps", BEFORE}:
        return ""
    steps, decay = before["optim.steps"], before["optim.decay_steps"]
    if after["optim.steps"] < steps or before["optim.preset"]:
        return ""
    if decay > steps or before["optim.warmup_steps"] > steps:
        return f" (not gone on from: its schedule was shortened to {steps} steps)"
    if "optim.decay_steps" in different:
        return f" (not gone on from: its learning rate has decayed by step {decay}; with decay_steps {decay} it is)"
    return f" (to go on from it, name {steps} in training.checkpoints)"


def _is_role(name: str) -> bool:
    """Whether a leaf is what a stage reads in some role rather than a setting, whose value would mean something."""
    return name in _ROLES or name.startswith(latents_role(""))


_ROLES = frozenset({*STAGES.names, "checkpoint", BEFORE})


def _leaves_of_request(request: StageRequest) -> Leaves:
    inputs = [(each.role, each.key) for each in request.inputs]
    return _leaves(request.version, request.software, request.address, inputs)


def _leaves_of_record(record: DoneFile) -> Leaves:
    inputs = [(each.role, each.key) for each in record.upstream]
    return _leaves(record.version, record.software, record.address, inputs)


def _leaves(
    version: int, software: Mapping[str, str], address: Mapping[str, Any], inputs: Iterable[tuple[str, str]]
) -> Leaves:
    """Everything in the key, flat: dotted spec fields, package versions, and the keys of every upstream role."""
    leaves: dict[str, Any] = {"stage version": version} | dict(software)
    for role, key in inputs:
        leaves[role] = (*leaves.get(role, ()), key)
    _flatten("", address, leaves)
    return leaves


def _flatten(prefix: str, value: Mapping[str, Any], into: dict[str, Any]) -> None:
    for name, item in value.items():
        if isinstance(item, Mapping):
            _flatten(f"{prefix}{name}.", item, into)
        else:
            into[prefix + name] = item


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"{value[0]}..{value[-1]} ({len(value)})"
    return "none" if value in (None, "") else str(value)


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
    """Print every damaged stage and a summary; 1 if there is damage, else 0. UserError if there is nothing to check."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root} here: call `wm verify` where the study was run")
    checked, damaged, drifted = 0, set[Path](), 0
    for folder, findings in verify(root, STAGES.names):
        checked += 1
        for finding in findings:
            if finding.damage:
                damaged.add(folder.path)
                print(f"{folder.path} ({finding.label}): {finding.text}")
            else:
                drifted += 1
    print(f"{checked} sealed stages checked, {len(damaged)} damaged")
    if drifted:
        print(f"{drifted} notes: made by another version of the library's source, or DONE.json to be restored")
    if damaged:
        print("to make a damaged stage again, remove its folder and run the study")
    return 1 if damaged else 0
