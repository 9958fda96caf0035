"""Jobs that a dead run left in SLURM's queue: they would hold the stages that a new run wants to go on with."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from world_modality.cli.last_place import Place, last_place
from world_modality.errors import UserError
from world_modality.store.layout import last_place_file

SLURM = "slurm"
"""Snakemake's name for the executor that submits jobs to SLURM."""
LEAVE_SECONDS = 120.0  # SLURM gives a job half a minute to end, and looks after its nodes now and then
POLL_SECONDS = 1.0
ASK_SECONDS = 60.0


@dataclass(frozen=True)
class QueuedJob:
    """A job in the queue."""

    number: str
    state: str
    """SLURM's word: PENDING, RUNNING, ..."""
    what: str
    """The rule, and the key of its stage."""


def keeps_accounts() -> bool:
    """Whether SLURM can be asked by `sacct` what became of a job; where it keeps no accounts, `squeue` has to tell."""
    try:
        asked = subprocess.run(
            ["sacct", "--noheader", "--allocations"], capture_output=True, check=False, timeout=ASK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def job_prefix(root: Path) -> str:
    """How the jobs of the results tree ``root`` are called in a queue; ``_`` and a run's number follow."""
    return f"world-modality-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:8]}"


def jobs_left(root: Path) -> list[QueuedJob]:
    """This user's jobs that runs on a results tree submitted and that have not ended.

    Raises:
        UserError: SLURM does not answer, or its commands are not on this machine, so that nobody can tell.
    """
    if shutil.which("squeue") is None:
        raise UserError(
            "SLURM's commands (`squeue`) are not on this machine, so nobody can tell whether jobs of a dead run are "
            "left in its queue: call this on the cluster's login node; if the cluster is gone for good, remove "
            f"{last_place_file(root)} and name a profile with --profile"
        )
    asked = ["squeue", "--me", "--noheader", "--format=%i|%j|%T|%k"]
    found, mine = [], f"{job_prefix(root)}_"
    for line in _ask(asked).splitlines():
        number, name, state, comment = line.split("|", 3)
        if name.startswith(mine):
            found.append(QueuedJob(number, state, comment.replace("rule_", "").replace("_wildcards_", " ")))
    return found


def may_be_left(root: Path, place: Place) -> bool:
    """Whether SLURM's queue has to be looked into before a study is run at ``place``: it will be used, or was."""
    last = last_place(root)
    return SLURM in (place.executor, last.executor if last else "")


def require_none_left(root: Path, place: Place) -> None:
    """UserError if jobs of a dead run are left, or SLURM does not say: new ones would wait for their stages."""
    left = jobs_left(root) if may_be_left(root, place) else []
    if left:
        raise UserError(
            f"{len(left)} job{'s' * (len(left) > 1)} of a dead run on {root}, still in SLURM's queue, would keep new "
            "ones waiting: call `wm resume`, which cancels what is left and goes on"
        )


def cancel(root: Path, jobs: Sequence[QueuedJob]) -> None:
    """Take a results tree's jobs out of the queue, and wait until they are gone: until then they hold their stages.

    Raises:
        UserError: SLURM does not answer, or they do not end.
    """
    numbers = {job.number for job in jobs}
    _ask(["scancel", *sorted(numbers)])
    end = time.monotonic() + LEAVE_SECONDS
    while left := sorted(numbers & {job.number for job in jobs_left(root)}):
        if time.monotonic() > end:
            raise UserError(
                f"jobs {', '.join(left)} of a dead run were cancelled and have not ended in {LEAVE_SECONDS:.0f} s; "
                "look at `squeue --me`, and call this again once they are gone"
            )
        time.sleep(POLL_SECONDS)


def _ask(command: Sequence[str]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASK_SECONDS)
    except subprocess.TimeoutExpired:
        said = f"no answer in {ASK_SECONDS:.0f} s"
    else:
        if result.returncode == 0:
            return result.stdout
        said = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    raise UserError(
        f"SLURM does not answer `{command[0]}` ({said}), so nobody can tell whether jobs of a dead run are left; "
        "call this again when it does"
    )
