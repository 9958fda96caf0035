"""The process of one stage: its cores, its log file, its runner, and what the user sees of it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

from world_modality.cli.planning import link_names, register
from world_modality.cli.share import share_of
from world_modality.cli.stage_log import printing_to
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.imports import importing
from world_modality.redaction import redacted
from world_modality.store.arithmetic import settle
from world_modality.store.devices import drawing_on_the_first_given, holding, visible_gpus
from world_modality.store.execute import execute
from world_modality.store.failure import reason_of
from world_modality.store.index import sealed_done
from world_modality.store.layout import ASKED_VARIABLE, stage_folder
from world_modality.store.lock import is_locked
from world_modality.store.orphans import watch
from world_modality.store.progress import LABEL_WIDTH, Progress
from world_modality.store.room import trouble
from world_modality.store.stage import StageRequest, StageRunner
from world_modality.study.graph import Graph
from world_modality.study.outline import outline_of
from world_modality.study.snapshot import read_snapshot
from world_modality.study.targets import select

RUNNERS_VARIABLE = "WORLD_MODALITY_RUNNERS"
"""``module:mapping`` of stage -> runner that goes before the table of kinds: for tests, since no key tells of it."""
INTERRUPTED = 130  # exit status after Ctrl-C, by convention
THREADS_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PATIENCE = ("OMP_WAIT_POLICY", "PASSIVE")
"""Threads sleep where they wait for each other, which is set before torch is imported. By default they spin: beside
other load, that keeps the one they wait for from its core. What is computed, and in which order, stays the same."""


def run_stage(
    root: Path,
    plan: Path,
    stage: str,
    key: str,
    cores: int,
    *,
    gpus: int | None = None,
    together: bool = False,
    waits: bool = True,
) -> int:
    """Make sure that one stage of a plan is sealed, and link its names; the exit status.

    Only progress and one final sentence reach the terminal. What libraries print, and the traceback of a failure,
    is appended to the stage's log.txt.

    With ``together`` this process, once the stage is sealed, goes on with others of its kind that can be run and that
    nobody works on; their own jobs then find them sealed. What becomes of those does not count for the exit status:
    one that fails is run again by its own job, which says why.

    With ``gpus`` the process takes hold of so many of this machine's GPUs, if it has any, and sees no other. Without it
    sees what it was given.

    Where results trees share the study and another one makes the stage, the job waits for it, and ``together`` runs
    others of its kind meanwhile, each in a process of its own. Without ``waits`` it leaves the stage to whoever makes
    it.
    """
    graph = _read_plan(root, plan)
    request = graph.stages.get(key)
    if request is None or request.stage != stage:
        raise UserError(f"{plan} has no stage {stage} with key {key}; run snakemake again to plan the study anew")
    shared_by = STAGES[stage].together
    _prepare_process(graph, cores)
    meanwhile = _Meanwhile(root, plan, graph, request, cores) if together else None
    if _is_sealed(root, request):
        return _run_one(root, graph, request, cores, waits=waits)
    with _gpus(request, gpus) as held:
        run = partial(_run_one, root, graph, cores=cores, gpus=held)
        if shared_by is None or not together:
            return run(request, waits=waits, meanwhile=meanwhile)
        with shared_by.load()():
            status = run(request, waits=waits, meanwhile=meanwhile)
            for other in _others(root, graph, request) if status == 0 else ():
                if _is_ready(root, other) and run(other, waits=False) == INTERRUPTED:
                    return INTERRUPTED
    return status


@contextmanager
def _gpus(request: StageRequest, count: int | None) -> Iterator[int]:
    """Hold so many GPUs, or fewer where a stage shares its work out over those that are free; with None see those that
    are given. Yields how many the stage has to itself."""
    kind = STAGES[request.stage]
    if count is None:
        with drawing_on_the_first_given():
            yield kind.gpus(request.spec, len(visible_gpus().gpus))
        return
    progress = Progress(request.label, stream=sys.stderr)
    waits = f"{request.label:<{LABEL_WIDTH}}  waits for a GPU: others hold too many of this machine's"
    least = min(1, count) if kind.shared else count
    with holding(count, lambda: progress.say(waits), least=least) as held:
        yield len(held)


def _read_plan(root: Path, plan: Path) -> Graph:
    """The run's plan; UserError that tells of the disk if that is why there is none."""
    try:
        return read_snapshot(plan)
    except UserError as error:
        told = trouble(root, error) if plan.absolute().is_relative_to(root.absolute()) else None
        raise UserError(told or str(error)) from error


def _others(root: Path, graph: Graph, request: StageRequest) -> list[StageRequest]:
    """Stages of the same kind that are not sealed and that the same stages read, for whose sake this one is run.

    Of a part of the study those that the part needs. Those of the same task come first: their simulator is open.
    """
    here = _place(request)
    read = [{each.key for each in reader.inputs} for reader in graph.stages.values()]
    beside = set[str]().union(*(keys for keys in read if request.key in keys)) - {request.key}
    if words := os.environ.get(ASKED_VARIABLE, "").split():
        outline = outline_of(graph)
        beside &= outline.upstream(step.key for step in select(outline, words))
    others = [each for each in graph.of(request.stage) if each.key in beside and not _is_sealed(root, each)]
    return sorted(others, key=lambda each: (_place(each) != here, _place(each)))


@dataclass(frozen=True)
class _Meanwhile:
    """What a job does while another tree makes its stage: it runs one of the others that can be run, the last first.

    Trees that begin with the first then meet in the middle. In a process of its own each is run as by its own job.
    """

    root: Path
    plan: Path
    graph: Graph
    request: StageRequest
    cores: int
    tried: set[str] = field(default_factory=set)

    def __call__(self, terminal: TextIO, claimed: frozenset[str]) -> bool:
        """Whether one of those that nobody claims was made. What becomes of one that fails its own job tells."""
        for other in reversed(_others(self.root, self.graph, self.request)):
            if other.key in self.tried | claimed or not _is_ready(self.root, other):
                continue
            self.tried.add(other.key)
            command = [sys.executable, "-m", "world_modality.cli.main", "stage", other.stage, other.key, "--no-waits"]
            command += ["--plan", str(self.plan), "--cores", str(self.cores)]
            subprocess.run(command, stdout=terminal, stderr=terminal, check=False)
            if _is_sealed(self.root, other):
                return True
        return False


def _place(request: StageRequest) -> tuple[str, int]:
    sim = getattr(request.spec, "sim", None)
    return ("" if sim is None else sim.suite), getattr(request.spec, "task", 0)


def _is_ready(root: Path, request: StageRequest) -> bool:
    """Whether a stage can be run now, and nobody else does."""
    folder = stage_folder(root, request.stage, request.key)
    made = all(sealed_done(stage_folder(root, each.stage, each.key)) is not None for each in request.inputs)
    return made and not _is_sealed(root, request) and not is_locked(folder.lock)


def _is_sealed(root: Path, request: StageRequest) -> bool:
    return sealed_done(stage_folder(root, request.stage, request.key)) is not None


def _prepare_process(graph: Graph, cores: int) -> None:
    settle(graph.arithmetic)
    for variable in THREADS_VARIABLES:
        os.environ[variable] = str(cores)
    os.environ.setdefault(*PATIENCE)
    watch()


def _run_one(
    root: Path,
    graph: Graph,
    request: StageRequest,
    cores: int,
    *,
    gpus: int = 0,
    waits: bool = True,
    meanwhile: _Meanwhile | None = None,
) -> int:
    stage, key = request.stage, request.key
    log = stage_folder(root, stage, key).log
    with printing_to(log) as terminal:
        try:
            if stage in ("rollout", "offline") and not stage_folder(root, stage, key).done.exists():
                register(root, graph)  # however the stage was started, the study's plan comes before it
            work = partial(
                execute,
                root,
                request,
                _lazily(stage),
                cores=cores,
                gpus=gpus,
                stream=terminal,
                shared=STAGES[stage].shared,
                waits=waits,
            )
            _make(root, request, work, terminal, waits, meanwhile)
        except KeyboardInterrupt:
            return INTERRUPTED
        except UserError as error:
            print(f"{request.label}: {redacted(str(error))}", file=terminal, flush=True)
            return 1
        except Exception as error:
            traceback.print_exc()
            print(f"{request.label}{_failure(root, error, log)}", file=terminal, flush=True)
            return 1
    link_names(root, graph, None if STAGES[stage].unfold else key)
    return 0


def _make(
    root: Path,
    request: StageRequest,
    work: Callable[[], bool],
    terminal: TextIO,
    waits: bool,
    meanwhile: _Meanwhile | None,
) -> None:
    """Have a stage sealed by ``work``, or by whoever shares the study with this tree."""
    share = share_of(root)
    if share is None:
        work()
        return

    def others() -> bool:
        return meanwhile is not None and meanwhile(terminal, share.claims.claimed(request.stage))

    def say(text: str) -> None:
        print(text, file=terminal, flush=True)

    share.make(request, work, say, waits=waits, meantime=others)


def _failure(root: Path, error: Exception, log: Path) -> str:
    """What a stage failed of, in a sentence: the disk of the results, or whatever its code raised."""
    told = trouble(root, error)
    return f" failed: {reason_of(error)} (full account in {log})" if told is None else f": {told}"


def _lazily(stage: str) -> StageRunner:
    """The stage's runner, imported when it is called: a duplicate job that finds the stage sealed imports nothing."""

    def run(spec: Any, context: Any) -> Mapping[str, Any]:
        with importing():
            runner = find_runner(stage)
        return runner(spec, context)

    return run


def find_runner(stage: str) -> StageRunner:
    """The function that runs a kind of stage; imports whatever it needs."""
    injected = os.environ.get(RUNNERS_VARIABLE)
    if injected:
        module, _, attribute = injected.partition(":")
        runners = getattr(importlib.import_module(module), attribute)
        if stage in runners:
            return cast(StageRunner, runners[stage])
    return cast(StageRunner, STAGES[stage].runner.load())
