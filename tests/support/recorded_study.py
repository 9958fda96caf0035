"""A study's results tree with made-up outcomes under its real keys: sealed, half recorded, or not begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support.toy_records import record

from world_modality.report.claims import plan_of
from world_modality.report.sealed_plans import seal_plan
from world_modality.rollout.episodes import episodes_of
from world_modality.rollout.records import to_ledger_line, to_line
from world_modality.store.index import sealed_done
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.seal import seal
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph

Success = Callable[[str, int, int, int], bool]
"""Condition, seed, task, initial state -> outcome."""


def later_conditions_win(condition: str, seed: int, task: int, state: int) -> bool:
    """Deterministic outcomes in which E0 and E1 agree."""
    strength = {"E0": 2, "E1": 2, "E2": 3, "E2-zero": 2, "E2-random": 1}[condition]
    return (state * 7 + task * 3 + seed * 5) % 4 < strength


def write_results(
    root: Path,
    graph: Graph,
    *,
    success: Success = later_conditions_win,
    episodes: Callable[[str], int | None] | None = None,
    fill: Callable[[StageRequest, Path], None] = lambda *_: None,
) -> None:
    """Seal the plan, then every stage before the report.

    ``episodes`` says of a rollout's label how many of its episodes are there: None for a sealed stage, 0 for one that
    was
    never started. ``fill`` may put more into the artifact of a stage, but for a rollout, before it is sealed. What is
    sealed already is left alone.
    """
    seal_plan(root, plan_of(graph.report.spec))
    cells = {cell.rollout: cell for cell in graph.report.spec.cells}
    for request in graph.stages.values():
        folder = stage_folder(root, request.stage, request.key)
        if sealed_done(folder):
            continue
        if request.stage == "rollout":
            cell = cells[request.key]
            count = episodes(request.label) if episodes else None
            _write_rollout(folder, request, lambda state, c=cell: success(c.condition, c.seed, c.task, state), count)
        elif request.stage != "report":
            _write(folder, request, fill)


def _write(folder: StageFolder, request: StageRequest, fill: Callable[[StageRequest, Path], None]) -> None:
    folder.artifact.mkdir(parents=True)
    (folder.artifact / "result.json").write_text("{}")
    if request.stage == "train":
        mode = request.spec.memory
        arm = {"seed": request.spec.seed, "policy": {"world_memory_mode_train": mode}}
        (folder.artifact / "arm.json").write_text(json.dumps(arm))
    fill(request, folder.artifact)
    seal(folder, request, {}, 3600.0, 1)


def _write_rollout(
    folder: StageFolder, request: StageRequest, success: Callable[[int], bool], count: int | None
) -> None:
    if count == 0:
        return
    training = next(each.key for each in request.inputs if each.role == "checkpoint")
    records = [
        record(
            episode.init_state,
            success(episode.init_state),
            task=episode.task,
            checkpoint=training,
            language=f"do {episode.task}",
        )
        for episode in episodes_of(request.spec)
    ]
    folder.path.mkdir(parents=True)
    folder.attempts.write_text("2100-01-01T00:00:00+00:00\n")
    if count is None:
        folder.artifact.mkdir()
        (folder.artifact / "records.jsonl").write_text("".join(map(to_line, records)))
        seal(folder, request, {}, 10.0 * len(records), 1)
        return
    work = folder.work / "records"
    work.mkdir(parents=True)
    lines = list(map(to_ledger_line, records))
    (work / "records-a.jsonl").write_text("".join(lines[:count]) + lines[count][:40])  # its writer was killed
