"""A training shared by several processes, as its stage sees it: start, follow, end, explain."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from world_modality.errors import UserError
from world_modality.store.files import write_atomically
from world_modality.training.launch import Job
from world_modality.training.metrics import Line, read_metrics
from world_modality.training.ranks import GOES_ON, failure_file

LOOK = 0.5  # seconds between looks at the metrics


def run_in_processes(job: Job, folder: Path, device: str, on_line: Callable[[Line], None]) -> None:
    """Train in ``job.processes`` processes on ``device``, "cpu" or "cuda"; ``on_line`` gets each new line of metrics.

    ``folder`` is emptied and holds what the processes share. Whatever happens, none of them is left.

    Raises:
        UserError: there are too few GPUs, or one of the processes failed.
    """
    _require_devices(job.processes, device)
    shutil.rmtree(folder, ignore_errors=True)
    file, seen = folder / "job.json", len(read_metrics(job.metrics))
    write_atomically(file, job.model_dump_json().encode())
    # Accelerate would take a GPU that is there; told so, each process takes the CPU.
    environment = os.environ | {"OMP_NUM_THREADS": str(job.threads)}
    environment |= {"ACCELERATE_USE_CPU": "true"} if device == "cpu" else {}
    command = [sys.executable, "-m", "world_modality.training.ranks", "launch", str(file), str(os.getpid())]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as launcher:
        family: list[psutil.Process] = []
        try:
            while launcher.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    launcher.wait(LOOK)
                if len(family) < job.processes:
                    family = _started_by(launcher)
                for line in read_metrics(job.metrics)[seen:]:
                    seen += 1
                    on_line(line)
        finally:
            _end(launcher, family)
    if launcher.returncode:
        reason = failure_file(file)
        status = f"training: its launcher ended with status {launcher.returncode}: {GOES_ON}"
        raise UserError(reason.read_text() if reason.is_file() else status)


def _require_devices(processes: int, device: str) -> None:
    import torch

    if device == "cuda" and torch.cuda.device_count() < processes:
        raise UserError(
            f"training.processes is {processes} but this machine has {torch.cuda.device_count()} GPUs: train where "
            "there are as many, or set fewer processes"
        )


def _started_by(launcher: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that the launcher has started so far."""
    try:
        return psutil.Process(launcher.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end(launcher: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
    """Kill the launcher and what it has started, if they still run, and wait until all of them are gone."""
    left = {*family, *_started_by(launcher)}
    launcher.kill()
    for member in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    launcher.wait()
    psutil.wait_procs(list(left))
