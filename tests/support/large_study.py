"""A study of thousands of stages, and a tree in which half of it is done, sealed by the store's own functions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.small_study import SMALL_STUDY, edited
from support.toy_records import record

from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.records import Record, to_ledger_line, to_line
from world_modality.store.attempts import note_attempt
from world_modality.store.failure import note_failure
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.seal import seal
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.specs import RolloutSpec

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
CONDITIONS, TASKS, BLOCKS = 5, 40, 4
UNDER_WAY, FAILED = 16, 2  # rollouts after those that are sealed
EPISODE_SECONDS = 20.0


def large_study(seeds: int) -> str:
    """Five conditions on forty tasks of four suites, four blocks of forty episodes each, of so many seeds."""
    return edited(
        ("study: small", "study: large"),
        ("suite: libero_spatial\ntasks: [0, 1]", f"suite: [{', '.join(SUITES)}]\ntasks: all"),
        ("source: scripted\n", "source: scripted\n  suites: [libero_spatial]\n"),
        ("simulator: {assets: package, horizon: 220}", "simulator: {assets: package}"),
        ("seeds: [0, 1]", f"seeds: {list(range(seeds))}"),
        ("  init_states: 30-33\n  episodes: 4", "  init_states: 10-49\n  episodes: 160"),
        text=SMALL_STUDY,
    )


def rollouts_of(seeds: int) -> int:
    """How many rollout stages that are."""
    return CONDITIONS * TASKS * BLOCKS * seeds


def half_done(root: Path, graph: Graph) -> None:
    """Seal all that rollouts need and the first half of them; begin some more, of which two failed."""
    rollouts = list(graph.of("rollout"))
    first = len(rollouts) // 2
    with _without_waiting_for_the_disk():
        for request in graph.stages.values():
            if request.stage not in ("rollout", "report"):
                _seal(root, request)
        for request in rollouts[:first]:
            _seal(root, request)
        for number, request in enumerate(rollouts[first : first + UNDER_WAY + FAILED]):
            folder = stage_folder(root, "rollout", request.key)
            (folder.work / "records").mkdir(parents=True)
            (folder.work / "records" / "records-a.jsonl").write_text("".join(_ledger_lines(request)[:10]))
            note_attempt(folder.attempts, 4)
            if number >= UNDER_WAY:
                note_failure(folder, ZeroDivisionError("division by zero"))


def _seal(root: Path, request: StageRequest) -> None:
    folder: StageFolder = stage_folder(root, request.stage, request.key)
    folder.artifact.mkdir(parents=True)
    note_attempt(folder.attempts, 4)
    facts: dict[str, int | str] = {}
    episodes = 0
    if request.stage == "rollout":
        lines = _lines(request)
        (folder.artifact / "records.jsonl").write_text("".join(lines))
        successes, episodes = sum('"success":true' in line for line in lines), len(lines)
        facts = {"episodes": episodes, "successes": successes, "device": "cpu"}
    else:
        (folder.artifact / "result.json").write_text("{}")
    seal(folder, request, facts, EPISODE_SECONDS * (episodes or 180), 1, 4)


def _lines(request: StageRequest) -> list[str]:
    return [to_line(each) for each in _records(request)]


def _ledger_lines(request: StageRequest) -> list[str]:
    return [to_ledger_line(each) for each in _records(request)]


def _records(request: StageRequest) -> list[Record]:
    assert isinstance(request.spec, RolloutSpec)
    checkpoint = next(each.key for each in request.inputs if each.role == "checkpoint")
    return [
        record(
            each.init_state,
            (each.init_state + each.repeat) % 3 > 0,
            task=each.task,
            repeat=each.repeat,
            suite=request.spec.sim.suite,
            checkpoint=checkpoint,
        )
        for each in episodes_of(request.spec)
    ]


@contextmanager
def _without_waiting_for_the_disk() -> Iterator[None]:
    """Nobody needs this tree to survive a power cut, and thousands of stages would wait for the disk for minutes."""
    kept, os.fsync = os.fsync, lambda _handle: None
    try:
        yield
    finally:
        os.fsync = kept
