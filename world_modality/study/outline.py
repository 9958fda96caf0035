"""A study's stages without their settings: which there are, what they read, and whose they are.

All that it takes to look at a run and to name parts of it. It comes from a planned graph, or from the snapshot of one
without importing what planning needs, so that a look at a study of many thousand stages takes about a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from world_modality.errors import UserError
from world_modality.store.keys import text_digest

if TYPE_CHECKING:
    from world_modality.study.graph import Graph


class Read(NamedTuple):
    """A stage that another one reads."""

    role: str
    stage: str
    key: str


class Place(NamedTuple):
    """What a stage is of, as far as it is of one: a training of an arm and a seed, demonstrations of a task."""

    arm: str = ""
    condition: str = ""
    seed: int | None = None
    suite: str = ""
    task: int | None = None


class Step(NamedTuple):
    """A stage."""

    stage: str
    key: str
    label: str
    reads: tuple[Read, ...]
    episodes: int  # of a rollout; else 0


class Cell(NamedTuple):
    """A rollout's place in the table; several blocks may share one place."""

    condition: str
    seed: int
    suite: str
    task: int
    rollout: str  # key


@dataclass(frozen=True)
class Outline:
    """A study's stages by key, in an order in which they can be made."""

    study: str
    steps: Mapping[str, Step]
    names: Mapping[str, str]  # for people ("train/E2-seed0") -> key
    arms: Mapping[str, str]  # condition -> arm, in the table's order
    cells: tuple[Cell, ...]
    scenes: Mapping[str, tuple[str, int]]  # key -> suite and task, of stages that collect data

    def of(self, stage: str) -> Iterator[Step]:
        """All stages of a kind."""
        return (step for step in self.steps.values() if step.stage == stage)

    @cached_property
    def places(self) -> Mapping[str, tuple[Place, ...]]:
        """Key -> what the stage is of; a stage that arms share is of each, one that all share of none."""
        found: dict[str, dict[Place, None]] = {}
        for cell in self.cells:
            place = Place(self.arms[cell.condition], cell.condition, cell.seed, cell.suite, cell.task)
            found.setdefault(cell.rollout, {})[place] = None
            for read in self.steps[cell.rollout].reads:
                if read.role == "checkpoint":
                    found.setdefault(read.key, {})[place._replace(suite="", task=None)] = None
        for key, (suite, task) in self.scenes.items():
            found.setdefault(key, {})[Place(suite=suite, task=task)] = None
        for step in self.steps.values():  # videos are of the records that they show, judgements of what they judge
            own = {"videos": "records", "offline": "checkpoint"}.get(step.stage)
            for read in step.reads if own else ():
                if read.role == own:
                    found.setdefault(step.key, {}).update(found.get(read.key, {}))
        return {key: tuple(places) for key, places in found.items()}

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """Key -> keys of the stages that read it."""
        found: dict[str, dict[str, None]] = {}
        for step in self.steps.values():
            for read in step.reads:
                found.setdefault(read.key, {})[step.key] = None
        return {key: tuple(readers) for key, readers in found.items()}

    def upstream(self, keys: Iterable[str]) -> set[str]:
        """These stages and all that they are made from."""
        waiting, found = list(keys), set[str]()
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting += [read.key for read in self.steps[key].reads]
        return found


def outline_of(graph: Graph) -> Outline:
    """The outline of a planned study."""
    steps = {
        key: Step(
            request.stage,
            key,
            request.label,
            tuple(Read(each.role, each.stage, each.key) for each in request.inputs),
            _episodes(request.address) if request.stage == "rollout" else 0,
        )
        for key, request in graph.stages.items()
    }
    report: Any = graph.report.spec
    return Outline(
        study=graph.study,
        steps=steps,
        names=graph.names,
        arms={each.name: each.arm for each in report.conditions},
        cells=tuple(Cell(each.condition, each.seed, each.suite, each.task, each.rollout) for each in report.cells),
        scenes={key: _scene(each.address) for key, each in graph.stages.items() if each.stage in COLLECTING},
    )


def read_outline(snapshot: Path) -> Outline:
    """The outline of a snapshot; UserError where there is none."""
    return decoded_snapshot(snapshot, _decode)


def decoded_snapshot[T](path: Path, decode: Callable[[dict[str, Any]], T]) -> T:
    """What ``decode`` makes of a snapshot's content.

    Raises:
        UserError: there is none, or it is not what its name says: its name ends in the digest of what was written. A
            stage that took one changed number for its setting would be sealed under another setting's key.
    """
    try:
        text = path.read_text(encoding="utf-8")  # as it was written, whatever the machine's locale
        if path.stem.rpartition("-")[2] != text_digest(text):
            raise ValueError("changed since it was written")
        return decode(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise UserError(
            f"{path} is not a plan as it was written ({type(error).__name__}); run the study again, which writes it "
            "anew"
        ) from None


COLLECTING = ("demos", "relabel")


def _decode(value: dict[str, Any]) -> Outline:
    stages = value["stages"]
    steps = {
        each["key"]: Step(
            each["stage"],
            each["key"],
            each["label"],
            tuple(Read(role, stage, key) for role, stage, key, _ in each["inputs"]),
            _episodes(each["spec"]) if each["stage"] == "rollout" else 0,
        )
        for each in stages
    }
    report = next(each["spec"] for each in stages if each["stage"] == "report")
    return Outline(
        study=value["study"],
        steps=steps,
        names=value["names"],
        arms={each["name"]: each["arm"] for each in report["conditions"]},
        cells=tuple(Cell(*(each[name] for name in Cell._fields)) for each in report["cells"]),
        scenes={each["key"]: _scene(each["spec"]) for each in stages if each["stage"] in COLLECTING},
    )


def _episodes(spec: Mapping[str, Any]) -> int:
    return len(set(spec["init_states"])) * int(spec["repeats"])


def _scene(spec: Mapping[str, Any]) -> tuple[str, int]:
    return str(spec["sim"]["suite"]), int(spec["task"])
