"""`wm why`: why a stage is run, or not; what its key holds, what it waits for, who works on it, who reads it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from world_modality.cli.planning import Planned
from world_modality.cli.relatives import Relative, differences, leaves_of, nearest, shown
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.store.index import sealed_done
from world_modality.store.keys import KEY_LENGTH
from world_modality.store.layout import StageFolder, names_folder, stage_folder
from world_modality.store.links import linked_key
from world_modality.store.look import Look, look, workers
from world_modality.store.progress import format_seconds
from world_modality.store.stage import StageRequest
from world_modality.study.outline import Outline, outline_of
from world_modality.study.targets import select

LISTED = 6  # stages that a line names
TABLED = 30  # stages of several that get a line each
LONGEST = 100  # characters of a value
SHORTEST = 4  # characters of a key's beginning
STATES = {
    "done": "is sealed, so it is not run again",
    "running": "is being worked on",
    "waiting": "was never started",
    "stopped": "was begun and stopped; a run goes on where it was",
    "failed": "failed; a run tries again, from where it was",
    "damaged": "was sealed and is damaged",
}


def why_lines(root: Path, planned: Planned, words: Sequence[str]) -> list[str]:
    """All about the one stage that some words name; of several a line each.

    Raises:
        UserError: they name none.
    """
    keys = find_stages(root, planned, words)
    why = _Why(root, planned)
    if len(keys) == 1:
        return list(why.all_of(keys[0]))
    lines = [f"{len(keys)} stages; name one for all about it", *map(why.line_of, keys[:TABLED])]
    return lines if len(keys) <= TABLED else [*lines, f"and {len(keys) - TABLED} more"]


def find_stages(root: Path, planned: Planned, words: Sequence[str]) -> list[str]:
    """Keys of the stages that are meant: by a label or its end, a link for people, a key or its beginning, a folder, or
    as a target of a run. UserError if there are none, with the nearest labels."""
    text = " ".join(words).strip()
    graph = planned.graph
    by_label: dict[str, list[str]] = {}
    for key, request in graph.stages.items():
        by_label.setdefault(request.label, []).append(key)
        by_label.setdefault(request.label.removeprefix(request.stage).strip(), []).append(key)
    if text in by_label:
        return list(dict.fromkeys(by_label[text]))
    if len(words) == 1:
        meant = graph.names.get(text.rstrip("/")) or _key_in(root, graph.study, Path(text))
        if meant in graph.stages:
            return [str(meant)]
        if meant is not None:
            raise UserError(f"{text} is the stage {meant}, which {graph.study} has not: name its study with --study")
        begun = [each for each in graph.stages if len(text) >= SHORTEST and each.startswith(text)]
        if begun:
            return begun
    try:
        return [step.key for step in select(outline_of(graph), words)]
    except UserError as error:
        near = difflib.get_close_matches(text, [*by_label, *graph.names], n=3, cutoff=0.6)
        if not near:
            raise
        raise UserError(f"there is no stage {text}; did you mean {', '.join(near)}?") from error


def _key_in(root: Path, study: str, path: Path) -> str | None:
    """The key that a path names: a folder of the results tree or anything in it, or a link that leads there."""
    for place in (path, path.resolve(), (names_folder(root, study) / path).resolve()):
        key = next((part for part in place.parts if _is_key(part)), None)
        if key is not None:
            return key
    return None


def _is_key(text: str) -> bool:
    return len(text) == KEY_LENGTH and set(text) <= set("0123456789abcdef")


class _Why:
    """What can be said of a study's stages; looks at each once."""

    def __init__(self, root: Path, planned: Planned) -> None:
        self._root, self._planned = root, planned
        self._outline: Outline = outline_of(planned.graph)
        self._looks: dict[str, Look] = {}

    def all_of(self, key: str) -> Iterator[str]:
        """Everything about one stage."""
        request, found = self._planned.graph.stages[key], self._look(key)
        folder = stage_folder(self._root, request.stage, key)
        names = [name for name, each in self._planned.graph.names.items() if each == key]
        yield f"stage        {request.label}, which {STATES[found.state]}"
        if found.reason:
            yield f"reason       {found.reason}"
        yield from self._work(folder, found)
        waits = [each for each in self._outline.steps[key].reads if self._look(each.key).state != "done"]
        if waits and found.state != "done":
            yield f"waits for    {self._listed(dict.fromkeys(each.key for each in waits), told=True)}"
        elif found.state not in ("done", "running"):
            yield "waits for    nothing: a run can start it now"
        yield from self._against(request, found)
        yield f"key          {key}, version {request.version} of the stage"
        yield f"folder       {folder.path}" + (f"   log {folder.log}" if folder.log.exists() else "")
        yield f"names        {', '.join(names)}"
        reads = dict.fromkeys(each.key for each in self._outline.steps[key].reads)
        yield f"reads        {self._listed(reads) if reads else 'nothing'}"
        readers = self._outline.readers.get(key, ())
        yield f"read by      {self._listed(dict.fromkeys(readers)) if readers else 'nothing'}"
        yield from _in_key(request)

    def line_of(self, key: str) -> str:
        """One stage in a line."""
        found, label = self._look(key), self._planned.graph.stages[key].label
        waits = sum(self._look(each.key).state != "done" for each in self._outline.steps[key].reads)
        waiting = f", waits for {waits} stage{'s' * (waits > 1)}" if waits and found.state != "done" else ""
        reason = f": {found.reason}" if found.reason else ""
        return f"  {key}  {label}  {found.state}{waiting}{reason}"

    def _look(self, key: str) -> Look:
        if key not in self._looks:
            request = self._planned.graph.stages[key]
            self._looks[key] = look(stage_folder(self._root, request.stage, key))
        return self._looks[key]

    def _work(self, folder: StageFolder, found: Look) -> Iterator[str]:
        """When it was made and by whom, or who works on it."""
        if found.state == "done":
            machine: Any = found.run.get("machine", {})
            if found.run:
                made = f"{found.run.get('sealed_at')} on {machine.get('host', 'a machine that it does not name')}"
                yield f"made         {made}, in {format_seconds(found.seconds)}"
            return
        if found.attempt is not None:
            who = f" by process {found.attempt.process} on {found.attempt.host}" if found.attempt.host else ""
            last = f"; last sign {format_seconds(found.idle)} ago" if found.state != "waiting" else ""
            yield f"begun        {found.attempt.started}{who}{last}"
        if found.line:
            yield f"progress     {found.line}"
        others = workers(folder)
        if others:
            yield f"workers      {', '.join(f'process {process} on {host}' for host, process in others)}"

    def _against(self, request: StageRequest, found: Look) -> Iterator[str]:
        """What distinguishes it from what was made before in its place, or from its nearest relative."""
        if found.state == "done":
            return
        graph, key = self._planned.graph, request.key
        linked = (linked_key(self._root, graph.study, name) for name, each in graph.names.items() if each == key)
        earlier = frozenset(each for each in linked if each is not None)
        if key in earlier or any(self._look(reader).state == "done" for reader in self._outline.readers.get(key, ())):
            yield "why          its result was made before and is not there any more"
            return
        sealed = [
            Relative(record)
            for path in sorted((self._root / request.stage).glob("*"))
            if (record := sealed_done(StageFolder(path))) is not None
        ]
        relative = nearest(request, sealed, earlier)
        if relative is None:
            yield f"why          it is new: no sealed {request.stage} stage is like it"
            return
        (other, relation) = relative
        where = {"place": "before in its place", "label": "of the same name", "other": "that is like it"}[relation]
        yield f"why          other than {other.record.label} ({other.record.key}), the one {where}:"
        for line in differences(other.leaves, leaves_of(request)):
            yield f"  {line}"

    def _listed(self, keys: dict[str, None], *, told: bool = False) -> str:
        """Labels of stages, with their states if these are to be told."""
        labels = [
            self._planned.graph.stages[key].label + (f" ({self._look(key).state})" if told else "") for key in keys
        ]
        rest = len(labels) - LISTED
        return ", ".join(labels[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _in_key(request: StageRequest) -> Iterator[str]:
    """What the key is made of, but for the keys of what is read."""
    roles = {each.role for each in request.inputs}
    yield f"in the key   of {STAGES[request.stage].name}:"
    for name, value in leaves_of(request).items():
        if name not in roles and name != "stage version":
            text = shown(value)
            yield f"  {name} {text if len(text) <= LONGEST else f'{text[:LONGEST]}...'}"
