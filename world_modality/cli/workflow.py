"""What the Snakefile asks: the stages' inputs, the targets, and what to tell the user. Knows nothing of Snakemake."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.cli.assets import fetch_assets, simulators
from world_modality.cli.explain import explain, survey, table_lines
from world_modality.cli.last_place import Place, remember_place
from world_modality.cli.last_plan import remember_plan, remember_results, remember_study, same_name_lines
from world_modality.cli.parts import part_of_command
from world_modality.cli.planning import link_names, plan_study, register, restore_done_files
from world_modality.cli.queue_jobs import require_none_left
from world_modality.cli.tree import own_results, require_writable, results_to_run, room_lines
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.rollout.episodes import episodes_of
from world_modality.store.layout import (
    RESULTS,
    RESULTS_VARIABLE,
    SHARE_VARIABLE,
    SNAPSHOT_VARIABLE,
    results_folder,
    stage_folder,
)
from world_modality.store.orphans import announce
from world_modality.store.run_lock import hold_until_exit
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph
from world_modality.study.outline import outline_of
from world_modality.study.snapshot import read_snapshot
from world_modality.study.specs import RolloutSpec
from world_modality.study.targets import select

PROCESSES = "processes"
"""The field of a spec that says how many processes share a job."""
EPISODES_PER_CORE = 5  # of a rollout: fewer take less time than a further simulator process needs to start


REPOSITORY_VARIABLE = "WORLD_MODALITY_REPOSITORY"
"""Where the clone is, for envs/world_modality.post-deploy.sh."""


@dataclass(frozen=True)
class Machine:
    """What a run may use of the machine that it is on."""

    cores: int
    gpus: int

    def share(self, gpus: int) -> int:
        """Cores that belong to so many of the GPUs; all, for a job without one."""
        return max(1, self.cores * gpus // self.gpus) if gpus else self.cores


@dataclass(frozen=True)
class Workflow:
    """A planned study as a Snakefile sees it: DONE.json files."""

    graph: Graph
    plan: Path
    file: Path | None = None  # the study, in the process that planned it
    sealed: frozenset[str] = frozenset()  # keys, when it was planned
    root: Path = RESULTS
    elsewhere: Path = RESULTS
    """The results tree of whoever names no study."""
    asked: tuple[str, ...] = ()  # words of the command line, if some of them name parts of the study

    def done(self, stage: str, key: str) -> str:
        """The one declared output of a stage."""
        return str(stage_folder(self.root, stage, key).done)

    def upstream(self, stage: str, key: str) -> list[str]:
        """What a stage reads. UserError for a key that this study does not have."""
        request = self.graph.stages.get(key)
        if request is None or request.stage != stage:
            raise UserError(f"{self.graph.study} has no stage {stage} with key {key}; ask for a target such as `all`")
        return [self.done(each.stage, each.key) for each in request.inputs]

    def cores(self, stage: str, key: str, here: Machine | None) -> int:
        """How many cores a stage's job is given, on which its result does not depend.

        In a queue, where ``here`` is None, as many as its row says, for each process of a training. On this machine
        one, or all of them; of a machine with several GPUs, the share of those that it is given. A rollout no more than
        its episodes are worth: a core per ``EPISODES_PER_CORE``.
        """
        kind, request = STAGES[stage], self.graph.stages.get(key)
        most = kind.needs.cores * self._processes(key)
        if here is not None:
            most = here.share(self.gpus(stage, key, here)) if kind.needs.all_cores or kind.shared else 1
        if request is not None and isinstance(request.spec, RolloutSpec):
            most = min(most, len(episodes_of(request.spec)) // EPISODES_PER_CORE)
        return max(1, most)

    def gpus(self, stage: str, key: str, here: Machine | None) -> int:
        """How many GPUs a stage's job is given; in a queue, where ``here`` is None, as many as it can use."""
        request = self.graph.stages.get(key)
        return STAGES[stage].gpus(None if request is None else request.spec, None if here is None else here.gpus)

    def memory_mb(self, stage: str, key: str) -> int:
        """Megabytes that a stage's job asks for: what its row says, for each process of a training."""
        return STAGES[stage].needs.memory_mb * self._processes(key)

    def _processes(self, key: str) -> int:
        """How many share a stage's job; 1 of any but a training."""
        request = self.graph.stages.get(key)
        return 1 if request is None else int(getattr(request.spec, PROCESSES, 1))

    def target(self, name: str) -> list[str]:
        """All stages that a target builds; where parts of the study are asked for, those that are asked for."""
        if self.asked and name in self.asked:
            return self.part()
        return self._needed([request for kind in STAGES if kind.target == name for request in self.graph.of(kind.name)])

    def part(self) -> list[str]:
        """The stages that the words of ``asked`` name together."""
        return self._needed([self.graph.stages[step.key] for step in select(outline_of(self.graph), self.asked)])

    def _needed(self, wanted: Sequence[StageRequest]) -> list[str]:
        return [self.done(each.stage, each.key) for each in (*wanted, *self._hidden(wanted))]

    def shown_by_snakemake(self) -> str:
        """The page that Snakemake's own report shows, a copy beside the sealed one."""
        return str(stage_folder(self.root, "report", self.graph.report.key).path / "for-snakemake" / "report.html")

    def _hidden(self, wanted: Sequence[StageRequest]) -> list[StageRequest]:
        """Missing stages that Snakemake would not make by itself, because what was made from them is there."""
        waiting, seen, hidden = list(wanted), {request.key for request in wanted}, dict[str, StageRequest]()
        while waiting:
            request = waiting.pop()
            for source in (self.graph.stages[each.key] for each in request.inputs):
                if request.key in self.sealed and source.key not in self.sealed:
                    hidden[source.key] = source
                if source.key not in seen:
                    seen.add(source.key)
                    waiting.append(source)
        return list(hidden.values())

    def pretrained(self) -> list[str]:
        """The last pretraining round. UserError when the study has none."""
        if not self.graph.pretrained:
            raise UserError(
                f"{self.graph.study} has no pretraining rounds to export; "
                "add --configfile workflow/studies/embedded_base.yaml"
            )
        return self._needed([self.graph.stages[self.graph.pretrained]])

    def start(self, place: Place | None) -> None:
        """Hold the results tree for this run, remember its study and where it is run, check it and seal its plan.

        ``place`` is None where `wm` sees to it. UserError when another run works there or left jobs in a queue, or the
        study's parts do not fit together. This is before the first job, wherever jobs are run.
        """
        if self.file is not None:
            hold_until_exit(self.root)
            if place is not None:
                require_none_left(self.root, place)
                remember_place(self.root, place)
                remember_results(self.file, self.root, own_results(self.file))
                for line in same_name_lines(self.root, self.graph.study, self.file, self.plan):
                    print(line, file=sys.stderr, flush=True)
            remember_study(self.root, self.file, self.elsewhere)
            remember_plan(self.root, self.graph.study, self.file, self.plan)
            fetch_assets(simulators(self.graph))
            _require_fit(self.file, self.root)
            register(self.root, self.graph)

    def table(self) -> None:
        """Print the table, if it is sealed."""
        for line in table_lines(self.root, self.graph):
            print(line, flush=True)


def has_processes(stage: str) -> bool:
    """Whether a job of this kind may have several processes, on one node, with a GPU each."""
    return PROCESSES in STAGES[stage].spec.load().model_fields


def open_workflow(
    study_files: Iterable[Path | str],
    default: Path,
    cores: int | None,
    dry_run: bool,
    arguments: Sequence[str] = (),
) -> Workflow:
    """Plan the study for the main Snakemake process, and tell in a few lines on stderr what would run and why.

    Args:
        study_files: what --configfile named; at most one, because studies are not merged.
        default: the study to run when nothing was named.
        cores: as given to Snakemake, for the estimate of time.
        dry_run: only look.
        arguments: the command line, of which some words may ask for a part of the study.

    Raises:
        UserError: two studies, or one that is not valid, or has no such part.
    """
    files = [Path(file) for file in study_files]
    if len(files) > 1:
        raise UserError(f"--configfile takes one study, not {len(files)}: {', '.join(map(str, files))}")
    file = files[0] if files else default
    root, elsewhere = results_to_run(file), results_folder()
    if set("{}") & set(str(root)):
        raise UserError(f"the results folder {root} has a brace, which means something else to Snakemake: rename it")
    if not dry_run:
        require_writable(root)
    planned = plan_study(file, root, lenient=dry_run)
    outlook = survey(root, planned, part_of_command(planned.graph, arguments))
    print("\n".join([*explain(root, outlook, cores), *room_lines(root, outlook)]), file=sys.stderr, flush=True)
    workflow = Workflow(planned.graph, planned.snapshot, file, outlook.done, root, elsewhere)
    if not dry_run:
        announce()
        restore_done_files(root, planned.graph)
        link_names(root, planned.graph)
        if not outlook.missing:
            workflow.table()
    os.environ[SNAPSHOT_VARIABLE], os.environ[RESULTS_VARIABLE] = str(planned.snapshot), str(root)
    os.environ[REPOSITORY_VARIABLE] = str(default.resolve().parent)
    os.environ.setdefault(SHARE_VARIABLE, "")  # Snakemake hands on only what is set
    _use_this_python()
    return workflow


def reopen_workflow() -> Workflow:
    """The workflow as the main process planned it, in a process that it started for one job."""
    plan = Path(os.environ[SNAPSHOT_VARIABLE])
    _use_this_python()
    return Workflow(read_snapshot(plan), plan, root=results_folder())


def _require_fit(file: Path, root: Path) -> None:
    from world_modality.cli.check import require_fit  # it brings what only checks need

    require_fit(file, root, lambda line: print(line, file=sys.stderr, flush=True))


def _use_this_python() -> None:
    """Make ``python`` in the rules' commands the one that runs Snakemake, activated or not."""
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
