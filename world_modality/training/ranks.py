"""The processes that share a training: ``python -m world_modality.training.ranks launch|rank JOB PARENT``.

``launch`` is torchrun with the processes of JOB, a file that holds a :class:`Job`; each of them is a ``rank``. Both end
with the process PARENT that started them. Why they failed is left in a file beside JOB, as one sentence.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from world_modality.errors import UserError
from world_modality.store.files import write_atomically
from world_modality.store.orphans import end_with_parent

TERMINATED = -signal.SIGTERM  # how torchrun ends the others when one has failed
GOES_ON = "run the study again to go on from the newest checkpoint"


def failure_file(job: Path) -> Path:
    """Where they leave why they failed."""
    return job.with_suffix(".failure.txt")


def describe_failure(exit_codes: Mapping[int, int]) -> str:
    """One sentence about the exit codes of failed processes, by rank; below 0: the signal that ended one.

    One that was killed is the cause: others lose the connection to it and fail, or are terminated by torchrun.
    """
    causes = sorted(exit_codes.items(), key=lambda item: (item[1] == TERMINATED, item[1] >= 0, item[0]))
    rank, code = causes[0]
    memory = ", most often for lack of memory" if code == -signal.SIGKILL else ""
    how = f"was killed by signal {-code}{memory}" if code < 0 else "failed (full account in the stage's log.txt)"
    return f"training: process {rank} {how}: {GOES_ON}"


def launch(file: Path) -> int:
    """Start the processes and wait for them; the exit status."""
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from world_modality.training.launch import Job

    processes = Job.model_validate_json(file.read_bytes()).processes
    each = ["-m", "world_modality.training.ranks", "rank", str(file), str(os.getpid())]
    logs = ["--log-dir", str(file.with_suffix(".logs"))]
    try:
        torchrun.main(["--standalone", "--nproc-per-node", str(processes), *logs, *each])
    except ChildFailedError as error:
        print(error, file=sys.stderr, flush=True)
        if not failure_file(file).is_file():
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
            write_atomically(failure_file(file), describe_failure(codes).encode())
        return 1
    return 0


def rank(file: Path) -> int:
    """Be one of the processes; the exit status."""
    from world_modality.training.launch import Job, run_here

    try:
        run_here(Job.model_validate_json(file.read_bytes()), lambda _: None)
    except UserError as error:
        write_atomically(failure_file(file), str(error).encode())
        return 1
    return 0


def main() -> None:
    """See the module's docstring."""
    role, file, parent = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    end_with_parent(parent)
    roles: dict[str, Any] = {"launch": launch, "rank": rank}
    sys.exit(roles[role](file))


if __name__ == "__main__":
    main()
