"""`wm join`: a further machine or job that shares a results folder lends a hand with a study's rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from world_modality.cli.planning import plan_study
from world_modality.cli.run_stage import run_stage
from world_modality.store.index import sealed_done, unfinished
from world_modality.store.layout import stage_folder
from world_modality.store.stage import StageRequest
from world_modality.study.graph import Graph


def join(root: Path, study: Path, cores: int) -> int:
    """Work on every rollout of a study whose trainings are sealed, together with whoever else does; the exit status.

    Those that nobody works on come first, since the others are in hands already. Ends when none is left, or at the
    first that fails; rollouts whose trainings are still to come are counted.
    """
    planned = plan_study(study, root)
    while ready := ready_rollouts(root, planned.graph):
        status = run_stage(root, planned.snapshot, "rollout", ready[0].key, cores)
        if status:
            return status
    waiting = sum(not _sealed(root, request) for request in planned.graph.of("rollout"))
    print(f"join         {waiting} rollouts wait for their trainings" if waiting else "join         no rollout is left")
    return 0


def ready_rollouts(root: Path, graph: Graph) -> Sequence[StageRequest]:
    """Unsealed rollouts with all they read, those that nobody works on first, the last of the study before others.

    A run of the study begins with its first, so both meet in the middle.
    """
    ready = [
        request
        for request in graph.of("rollout")
        if not _sealed(root, request)
        and all(sealed_done(stage_folder(root, each.stage, each.key)) is not None for each in request.inputs)
    ]
    ready.reverse()
    return sorted(ready, key=lambda request: _in_hands(root, request))


def _sealed(root: Path, request: StageRequest) -> bool:
    return sealed_done(stage_folder(root, request.stage, request.key)) is not None


def _in_hands(root: Path, request: StageRequest) -> bool:
    begun = unfinished(stage_folder(root, request.stage, request.key))
    return begun is not None and begun.running
