"""Which study is meant, its graph, and what a results tree is told of it: snapshot, sealed plan, links, DONE files."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from world_modality.cli.sources import resolve_sources
from world_modality.facts.stages import STAGES
from world_modality.store.done import DoneFile, read_done
from world_modality.store.files import names_in
from world_modality.store.index import sealed_done
from world_modality.store.layout import so_far_folder, stage_folder
from world_modality.store.links import link_all, link_stage
from world_modality.store.seal import restore, restore_second
from world_modality.study.graph import Graph, build_graph
from world_modality.study.labels import suite_label
from world_modality.study.load import load_study
from world_modality.study.snapshot import write_snapshot
from world_modality.study.specs import ReportSpec
from world_modality.study.study import Study

if TYPE_CHECKING:
    from world_modality.report.stopping import Looks

ALL_LOOKS_VARIABLE = "WORLD_MODALITY_ALL_LOOKS"
"""Set where a study that may stop early is to be rolled out whole all the same."""


@dataclass(frozen=True)
class Planned:
    """A study and its stages."""

    graph: Graph
    root: Path
    headline: str
    unresolved: tuple[str, ...] = ()  # parts that only the hub could have told, so that the keys are not final
    looks: Looks | None = None  # where a study stands that may stop early; its graph holds the looks asked for

    @cached_property
    def snapshot(self) -> Path:
        """What jobs read of it, below ``root``; written when it is first asked for."""
        return write_snapshot(self.root, self.graph)


def plan_study(path: Path, root: Path, *, lenient: bool = False) -> Planned:
    """Read a study and plan it; UserError says in one sentence what is wrong with it."""
    file = load_study(path)
    sources = resolve_sources(file, root, lenient=lenient)
    graph, looks = build_graph(file.study, sources), None
    if file.study.evidence.stop_early is not None:
        from world_modality.report.stopping import looks_made  # it imports scipy

        looks = looks_made(root, graph, whole=ALL_LOOKS_VARIABLE in os.environ)
        graph = build_graph(file.study, sources, None if looks is None else max(1, looks.asked))
    line = headline(file.study, suite_label(file.study, sources))
    return Planned(graph, root, line, sources.unresolved, looks)


def headline(study: Study, label: str) -> str:
    """The study in one line."""
    tasks, seeds = len(study.rollout_places), study.seeds
    return (
        f"{study.study}: {tasks} task{'s' * (tasks > 1)} of {label}, arms {' '.join(study.arms)}, "
        f"seed{'s' * (len(seeds) > 1)} {' '.join(map(str, seeds))}, "
        f"{study.rollouts.episodes} episodes per task and condition"
    )


def link_names(root: Path, graph: Graph, only: str | None = None) -> None:
    """Make the links for people say what is sealed of a study, and nothing else; or only add those of one key.

    Beside a sealed report, that of the study so far would only confuse, so it goes.
    """
    sealed = {
        name: (graph.stages[key].stage, key)
        for name, key in graph.names.items()
        if only in (None, key) and sealed_done(stage_folder(root, graph.stages[key].stage, key)) is not None
    }
    if only is None:
        (unfolded,) = (kind.name for kind in STAGES if kind.unfold)
        link_all(root, graph.study, sealed, unfold=unfolded)
        if any(stage == unfolded for stage, _ in sealed.values()):
            shutil.rmtree(so_far_folder(root, graph.study), ignore_errors=True)
    else:
        for name, (stage, key) in sealed.items():
            link_stage(root, graph.study, name, stage, key)


def done_records(root: Path, graph: Graph) -> dict[str, DoneFile]:
    """The records of the graph's sealed stages by key, those included whose DONE.json the next run restores."""
    there = {kind: set(names_in(root / kind)) for kind in STAGES.names}
    found = {
        key: sealed_done(stage_folder(root, request.stage, key))
        for key, request in graph.stages.items()
        if key in there[request.stage]
    }
    return {key: record for key, record in found.items() if record is not None}


def done_keys(root: Path, graph: Graph) -> frozenset[str]:
    """Keys of the graph's sealed stages."""
    return frozenset(done_records(root, graph))


def restore_done_files(root: Path, graph: Graph) -> None:
    """Make DONE.json say to Snakemake what is true, by the only things it looks at: existence and age.

    A sealed stage gets back whichever of its two records is gone; a torn DONE.json, which a failing disk may leave, is
    removed. A stage never looks older than what it was made from, which copying a tree from another machine may have
    brought about. Snakemake's own word for that, ``ancient``, makes 9.27 skip missing stages behind one that is run
    again.
    """
    times: dict[str, float] = {}
    for key, request in graph.stages.items():
        folder = stage_folder(root, request.stage, key)
        if read_done(folder.done) is not None:
            restore_second(folder)
        elif not restore(folder):
            folder.done.unlink(missing_ok=True)
            continue
        newest = max((times.get(each.key, 0.0) for each in request.inputs), default=0.0)
        times[key] = max(folder.done.stat().st_mtime, newest)
        if newest > folder.done.stat().st_mtime:
            os.utime(folder.done, (newest, newest))


def register(root: Path, graph: Graph) -> None:
    """Seal the study's plan, if it is not sealed. A study that compares nothing has none."""
    # Imported here: planning a study and running a duplicate job should not wait for scipy.
    from world_modality.report.claims import plan_of
    from world_modality.report.sealed_plans import seal_plan

    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    plan = plan_of(spec)
    if plan is not None:
        seal_plan(root, plan)
