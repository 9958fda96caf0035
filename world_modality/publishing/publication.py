"""One study on its way to the hub: what it is made of, what its repositories are called, and which there are."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from world_modality.facts.stages import STAGES
from world_modality.publishing.bundle import What
from world_modality.publishing.figures import Figures
from world_modality.publishing.names import Destination
from world_modality.report.collect import Material, collect
from world_modality.store.index import sealed_done
from world_modality.store.layout import stage_folder
from world_modality.store.stage import StageRequest
from world_modality.store.verify import require_as_sealed
from world_modality.study.graph import Graph
from world_modality.study.specs import ReportSpec


@dataclass(frozen=True)
class Publication:
    """A study, and where it goes."""

    root: Path  # results tree
    graph: Graph
    target: Destination
    endpoint: str  # address of the hub, for links
    license: str = ""  # as someone says it: what is not said is not known
    benchmarks: Mapping[str, str] = field(default_factory=dict)  # suite -> the hub's data set with its leaderboard
    there: Collection[str] = ()  # repositories that exist, or will: cards may name them

    @cached_property
    def material(self) -> Material:
        """The study's records, and the sealed artifacts around them."""
        return collect(self.root, self.graph)

    @cached_property
    def figures(self) -> Figures:
        """The success rates of its checkpoints."""
        return Figures(self.material)

    @property
    def spec(self) -> ReportSpec:
        """What the report is asked."""
        return cast(ReportSpec, self.graph.report.spec)

    def of_report(self, name: str) -> str | None:
        """A file of the sealed report as text; None if no report is sealed. UserError if it is damaged."""
        folder = stage_folder(self.root, "report", self.graph.report.key)
        return None if sealed_done(folder) is None else require_as_sealed(folder, name).read_text()

    @cached_property
    def table(self) -> Mapping[str, Any] | None:
        """The sealed report's table; None if no report is sealed. UserError if it is damaged."""
        text = self.of_report("table.json")
        return None if text is None else json.loads(text)

    def name_of(self, request: StageRequest) -> str:
        """How the study calls a stage, without the kind: ``E2-seed0``."""
        own = (name for name, key in self.graph.names.items() if key == request.key)
        return next(own).removeprefix(f"{STAGES[request.stage].links}/")

    def repository(self, what: What, request: StageRequest | None = None) -> str:
        """What the repository of a stage, or of all records, is called. UserError as ``Destination.repository``."""
        if what in ("records", "report"):
            return self.target.repository(what)
        assert request is not None
        parts = self.name_of(request).split("/")
        return self.target.repository(*(parts if what == "checkpoints" else (what, *_after(what, parts))))

    def trainings(self) -> Iterator[StageRequest]:
        """Every training whose checkpoint is rolled out: those of the arms, and their earlier checkpoints."""
        rolled = {each.key for request in self.graph.of("rollout") for each in request.inputs if each.stage == "train"}
        last = {key for arm in self.spec.arms for key in arm.trainings}
        return (request for request in self.graph.of("train") if request.key in rolled | last)

    def input_of(self, request: StageRequest, role: str) -> StageRequest | None:
        """The stage that a stage reads in a role; None if it reads none."""
        return next((self.graph.stages[each.key] for each in request.inputs if each.role == role), None)

    def address(self, repo_id: str, *, dataset: bool) -> str:
        """A repository's page."""
        return f"{self.endpoint}/{'datasets/' if dataset else ''}{repo_id}"

    def known(self, what: What) -> str:
        """The repository of the records or the report, if it is or will be there; else empty."""
        repo_id = self.repository(what)
        return repo_id if repo_id in self.there else ""


def _after(what: str, parts: list[str]) -> list[str]:
    """``latents/image`` is ``image``, ``latents-E2/image`` is ``E2-image``: the kind is said once."""
    return [part.removeprefix(f"{what}-") for part in parts if part != what]
