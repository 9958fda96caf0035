"""How far a study that may stop early has come: which looks are made, how its rule stands, what is asked for next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.evidence.plan import Plan
from world_modality.evidence.stopping import Standing, standing
from world_modality.report.claims import plan_of
from world_modality.report.judgement import conditions_of
from world_modality.report.results import gather
from world_modality.rollout.records import Record, read_records
from world_modality.store.index import sealed_done
from world_modality.store.layout import stage_folder
from world_modality.store.verify import require_as_sealed
from world_modality.study.graph import Graph
from world_modality.study.looks import states_asked
from world_modality.study.specs import ReportCell, ReportSpec, RolloutSpec


@dataclass(frozen=True)
class Looks:
    """Where a study stands in a results tree."""

    standing: Standing
    asked: int  # looks that a run makes, with those that are made

    @property
    def over(self) -> bool:
        """Whether a run makes no further look: the rule is decided, or all looks are made."""
        return self.asked == self.standing.looks

    @property
    def more_may_come(self) -> bool:
        """Whether what a run makes now may be followed by a further look, so that no report is due."""
        return not self.over and self.asked < self.standing.of

    def told(self) -> str:
        """In one line."""
        if not self.over:
            return f"{self.standing.told()}; next is look {self.standing.looks + 1}"
        return f"{self.standing.told()}; {'decided' if self.standing.decided else 'not decided, and no look is left'}"


def looks_made(root: Path, graph: Graph, *, whole: bool) -> Looks | None:
    """Where the study of ``graph``, planned with all its looks, stands; None for one that compares nothing.

    A look counts once all its rollouts are sealed and whole. One more is asked for until the rule is decided; all of
    them if ``whole``. Whatever has been made beyond the decision counts, too: the test is valid at every look.
    """
    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    plan = plan_of(spec)
    if plan is None:
        return None
    found: dict[str, tuple[Record, ...]] = {}
    made = 0
    for keys in _by_look(spec, graph):
        try:
            found |= {key: _sealed_records(root, key) for key in keys if key not in found}
        except _NotThere:
            break
        made += 1
    state = _standing(plan, spec, made, found)
    asked = plan.number_of_looks if whole else made + (not state.decided and made < plan.number_of_looks)
    return Looks(state, asked)


class _NotThere(Exception):
    """A rollout that is not sealed, or damaged."""


def _sealed_records(root: Path, key: str) -> tuple[Record, ...]:
    folder = stage_folder(root, "rollout", key)
    if sealed_done(folder) is None:
        raise _NotThere
    try:
        return read_records(require_as_sealed(folder, "records.jsonl"))
    except UserError as damaged:
        raise _NotThere from damaged


def _by_look(spec: ReportSpec, graph: Graph) -> list[list[str]]:
    """The keys of the rollouts that each look needs."""
    assert spec.looks is not None
    found: list[list[str]] = [[] for _ in range(spec.looks)]
    numbers: dict[tuple[str, int], dict[int, int]] = {}
    for cell in spec.cells:
        place = cell.suite, cell.task
        if place not in numbers:
            numbers[place] = _numbers(spec, *place)
        block = graph.stages[cell.rollout].spec
        assert isinstance(block, RolloutSpec)
        found[max(numbers[place][state] for state in block.init_states)].append(cell.rollout)
    return found


def _numbers(spec: ReportSpec, suite: str, task: int) -> dict[int, int]:
    """Initial state -> the look in which it is met, from 0."""
    size = spec.evidence.stop_early or len(spec.init_states)
    return {state: place // size for place, state in enumerate(states_asked(spec, suite, task))}


def _standing(plan: Plan, spec: ReportSpec, made: int, found: dict[str, tuple[Record, ...]]) -> Standing:
    """How the rule stands on what the first looks recorded."""

    def read(cell: ReportCell) -> Iterable[Record]:
        return found.get(cell.rollout, ())

    own = spec.model_copy(update={"looks": made, "cells": tuple(cell for cell in spec.cells if cell.rollout in found)})
    return standing(plan, conditions_of(spec, gather(own, read)) if made else {})


def stopping_table(plan: Plan | None, judgement: dict[str, Any] | None) -> dict[str, Any] | None:
    """For table.json: the looks that the verdicts rest on, of a study that may stop early; None of any other."""
    if plan is None or judgement is None or not plan.stop_early:
        return None
    looks, sizes = judgement["looks"], plan.look_sizes
    return {
        "looks": looks,
        "of": plan.number_of_looks,
        "scenes": sum(sizes[:looks]),
        "planned_scenes": sum(sizes),
        "scenes_per_look": plan.stop_early,
    }
