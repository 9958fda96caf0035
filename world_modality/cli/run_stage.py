"""The process of one stage: its cores, its log file, its runner, and what the user sees of it."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from world_modality.cli.planning import link_names, register
from world_modality.cli.stage_log import printing_to
from world_modality.errors import UserError
from world_modality.facts.stages import STAGES
from world_modality.imports import importing
from world_modality.redaction import redacted
from world_modality.store.arithmetic import settle
from world_modality.store.execute import execute
from world_modality.store.index import sealed_done
from world_modality.store.layout import stage_folder
from world_modality.store.lock import is_locked
from world_modality.store.orphans import watch
from world_modality.store.room import trouble
from world_modality.store.stage import StageRequest, StageRunner
from world_modality.study.graph import Graph
from world_modality.study.snapshot import read_snapshot

RUNNERS_VARIABLE = "WORLD_MODALITY_RUNNERS"
"""``module:mapping`` of stage -> runner that goes before the table of kinds: for tests, since no key tells of it."""
INTERRUPTED = 130  # exit status after Ctrl-C, by convention
THREADS_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PATIENCE = ("OMP_WAIT_POLICY", "PASSIVE")
"""Threads sleep where they wait for each other, which is set before torch is imported. By default they spin: beside
other load, that keeps the one they wait for from its core. What is computed, and in which order, stays the same."""


def run_stage(root: Path, plan: Path, stage: str, key: str, cores: int, *, together: bool = False) -> int:
    """Make sure that one stage of a plan is sealed, and link its names; the exit status.

    Only progress and one final sentence reach the terminal. What libraries print, and the traceback of a failure,
    is appended to the stage's log.txt.

    With ``together`` this process, once the stage is sealed, goes on with others of its kind that can be run and that
    nobody works on; their own jobs then find them sealed. What becomes of those does not count for the exit status:
    one that fails is run again by its own job, which says why.
    """
    graph = _read_plan(root, plan)
    request = graph.stages.get(key)
    if request is None or request.stage != stage:
        raise UserError(f"{plan} has no stage {stage} with key {key}; run snakemake again to plan the study anew")
    shared_by = STAGES[stage].together
    _prepare_process(graph, cores)
    if shared_by is None or not together or _is_sealed(root, request):
        return _run_one(root, graph, request, cores)
    with shared_by.load()():
        status = _run_one(root, graph, request, cores)
        for other in _others(root, graph, request) if status == 0 else ():
            if _is_ready(root, other) and _run_one(root, graph, other, cores, waits=False) == INTERRUPTED:
                return INTERRUPTED
    return status


def _read_plan(root: Path, plan: Path) -> Graph:
    """The run's plan; UserError that tells of the disk if that is why there is none."""
    try:
        return read_snapshot(plan)
    except UserError as error:
        told = trouble(root, error) if plan.absolute().is_relative_to(root.absolute()) else None
        raise UserError(told or str(error)) from error


def _others(root: Path, graph: Graph, request: StageRequest) -> list[StageRequest]:
    """Stages of the same kind that are not sealed and that the same stages read, for whose sake this one is run.

    Those of the same task come first: their simulator is open.
    """
    here = _place(request)
    read = [{each.key for each in reader.inputs} for reader in graph.stages.values()]
    beside = set[str]().union(*(keys for keys in read if request.key in keys)) - {request.key}
    others = [each for each in graph.of(request.stage) if each.key in beside and not _is_sealed(root, each)]
    return sorted(others, key=lambda each: (_place(each) != here, _place(each)))


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


def _run_one(root: Path, graph: Graph, request: StageRequest, cores: int, *, waits: bool = True) -> int:
    stage, key = request.stage, request.key
    log = stage_folder(root, stage, key).log
    with printing_to(log) as terminal:
        try:
            if stage == "rollout" and not stage_folder(root, stage, key).done.exists():
                register(root, graph)  # however the stage was started, the study's plan comes before it
            shared = STAGES[stage].shared
            execute(root, request, _lazily(stage), cores=cores, stream=terminal, shared=shared, waits=waits)
        except KeyboardInterrupt:
            return INTERRUPTED
        except UserError as error:
            print(f"{request.label}: {error}", file=terminal, flush=True)
            return 1
        except Exception as error:
            traceback.print_exc()
            print(f"{request.label}{_failure(root, error, log)}", file=terminal, flush=True)
            return 1
    link_names(root, graph, None if STAGES[stage].unfold else key)
    return 0


def _failure(root: Path, error: Exception, log: Path) -> str:
    """What a stage failed of, in a sentence: the disk of the results, or whatever its code raised."""
    told = trouble(root, error)
    if told is not None:
        return f": {told}"
    text = redacted(str(error)).strip().split("\n")[0]
    return f" failed: {type(error).__name__}{': ' if text else ''}{text} (full account in {log})"


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
