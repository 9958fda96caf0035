"""`wm join`: a further machine or job that shares a results folder lends a hand with a study's latents and rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from world_modality.cli.planning import plan_study
from world_modality.cli.run_stage import run_stage
from world_modality.facts.stages import STAGES
from world_modality.store.devices import holding
from world_modality.store.index import sealed_done, unfinished
from world_modality.store.layout import stage_folder
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph


def join(root: Path, study: Path, cores: int) -> int:
    """Work on what a study's stages can share out and can be made now, beside whoever else does; the exit status.

    It takes one of the machine's GPUs, if there are any: start one per GPU. Ends when nothing of that is left, or at
    the first that fails; rollouts whose trainings are still to come are counted.
    """
    planned = plan_study(study, root)
    with holding(1, lambda: print("join         waits for a GPU: others hold all of this machine's", flush=True)):
        while ready := ready_stages(root, planned.graph):
            status = run_stage(root, planned.snapshot, ready[0].stage, ready[0].key, cores)
            if status:
                return status
    waiting = sum(not _sealed(root, request) for request in planned.graph.of("rollout"))
    print(f"join         {waiting} rollouts wait for their trainings" if waiting else "join         no rollout is left")
    return 0


def ready_stages(root: Path, graph: Graph) -> Sequence[StageRequest]:
    """Unsealed stages of kinds that several processes may work on, with all they read: the earliest kind of these.

    Those that nobody works on come first, since the others are in hands already; of them the last of the study, since
    a run of the study begins with its first, and both meet in the middle.
    """
    for kind in STAGES:
        if not kind.shared:
            continue
        ready = [
            request
            for request in graph.of(kind.name)
            if not _sealed(root, request)
            and all(sealed_done(stage_folder(root, each.stage, each.key)) is not None for each in request.inputs)
        ]
        if ready:
            ready.reverse()
            return sorted(ready, key=lambda request: _in_hands(root, request))
    return ()


def _sealed(root: Path, request: StageRequest) -> bool:
    return sealed_done(stage_folder(root, request.stage, request.key)) is not None


def _in_hands(root: Path, request: StageRequest) -> bool:
    begun = unfinished(stage_folder(root, request.stage, request.key))
    return begun is not None and begun.running
