"""`wm join`: a further machine or job that shares a results folder lends a hand with a study's latents and rollouts."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from world_modality.cli.last_place import last_place
from world_modality.cli.planning import plan_study
from world_modality.cli.run_stage import run_stage
from world_modality.cli.turns import Turns
from world_modality.errors import UserError, counted
from world_modality.facts.stages import STAGES
from world_modality.redaction import redacted
from world_modality.store.devices import holding
from world_modality.store.files import names_in
from world_modality.store.layout import SHARE_VARIABLE, snapshots_folder
from world_modality.trees.remote import absolute_name


def join(root: Path, study: Path, cores: int) -> int:
    """Work on what a study's stages can share out and can be made now, beside whoever else does; the exit status.

    It takes one of the machine's GPUs, if there are any: start one per GPU. Ends when nothing of that is left, or at
    the first that fails; rollouts whose trainings are still to come are counted. UserError where nothing was run.
    """
    if not any(names_in(folder) for folder in (snapshots_folder(root), *(root / kind for kind in STAGES.names))):
        raise UserError(
            f"nothing was run in {root} yet, so there is nothing to help with: begin with `wm run --study {study}`, or "
            "name the folder of the results with --results"
        )
    _share_as_before(root)
    planned = plan_study(study, root)
    turns = Turns(root, planned.graph, Random())
    with holding(1, lambda: print("join         waits for a GPU: others hold all of this machine's", flush=True)):
        while request := turns.next():
            status = run_stage(root, planned.snapshot, request.stage, request.key, cores)
            if status:
                return status
            turns.sealed(request)
    waiting = turns.left("rollout")
    wait = "waits for its training" if waiting == 1 else "wait for their trainings"
    print(f"join         {counted(waiting, 'rollout')} {wait}" if waiting else "join         no rollout is left")
    return 0


def _share_as_before(root: Path) -> None:
    """Ask the remote that the study was run with, unless the environment names one: another tree may be at a stage."""
    last = last_place(root)
    if last is not None and last.share and not os.environ.get(SHARE_VARIABLE):
        os.environ[SHARE_VARIABLE] = absolute_name(last.share)
        print(f"join         shares {redacted(last.share)}, as the study was run last", flush=True)
