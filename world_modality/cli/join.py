"""`wm join`: a further machine or job that shares a results folder lends a hand with a study's latents and rollouts."""

from __future__ import annotations

from pathlib import Path
from random import Random

from world_modality.cli.planning import plan_study
from world_modality.cli.run_stage import run_stage
from world_modality.cli.turns import Turns
from world_modality.store.devices import holding


def join(root: Path, study: Path, cores: int) -> int:
    """Work on what a study's stages can share out and can be made now, beside whoever else does; the exit status.

    It takes one of the machine's GPUs, if there are any: start one per GPU. Ends when nothing of that is left, or at
    the first that fails; rollouts whose trainings are still to come are counted.
    """
    planned = plan_study(study, root)
    turns = Turns(root, planned.graph, Random())
    with holding(1, lambda: print("join         waits for a GPU: others hold all of this machine's", flush=True)):
        while request := turns.next():
            status = run_stage(root, planned.snapshot, request.stage, request.key, cores)
            if status:
                return status
            turns.sealed(request)
    waiting = turns.left("rollout")
    print(f"join         {waiting} rollouts wait for their trainings" if waiting else "join         no rollout is left")
    return 0
