"""Stand-ins of SLURM's own commands, which tell what a test wrote down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from world_modality.cli.queue_jobs import job_prefix

SQUEUE = """#!/bin/sh
[ -e {folder}/down ] && {{ echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }}
cat {folder}/queue
"""
SCANCEL = """#!/bin/sh
echo "$@" >> {folder}/cancelled
[ -e {folder}/stuck ] || : > {folder}/queue
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put commands on the path, to which the file ``queue`` in the folder is the queue."""
    programs = folder / "programs"
    programs.mkdir()
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (programs / name).write_text(text.format(folder=folder))
        (programs / name).chmod(0o755)
    (folder / "queue").touch()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


def told(*lines: tuple[str, str, str, str]) -> str:
    """What squeue tells: number, name, state and comment of each job."""
    return "".join("|".join(line) + "\n" for line in lines)


def run_of(root: Path) -> str:
    """How the jobs of a run on a results tree are called."""
    return f"{job_prefix(root)}_0b7c3a52-97b8-4e2e-8b0f-1d6f7c2d9e11"
