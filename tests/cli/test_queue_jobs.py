"""Jobs that a dead run left in SLURM's queue, seen through stand-ins of SLURM's own commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from world_modality.cli import queue_jobs
from world_modality.cli.queue_jobs import QueuedJob, cancel, jobs_left
from world_modality.errors import UserError

SQUEUE = """#!/bin/sh
[ -e {folder}/down ] && {{ echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }}
cat {folder}/queue
"""
SCANCEL = """#!/bin/sh
echo "$@" >> {folder}/cancelled
[ -e {folder}/stuck ] || : > {folder}/queue
"""


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose file ``queue`` is what squeue tells."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (programs / name).write_text(text.format(folder=tmp_path))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(queue_jobs, "POLL_SECONDS", 0.01)
    return tmp_path


def told(*lines: tuple[str, str, str, str, str]) -> str:
    return "".join("|".join(line) + "\n" for line in lines)


RUN = "world-modality_0b7c3a52-97b8-4e2e-8b0f-1d6f7c2d9e11"


def test_only_jobs_of_runs_in_this_folder_are_its_own(queue: Path) -> None:
    mine = ("17", RUN, "RUNNING", "/shared/study", "rule_train_stage_wildcards_00ff")
    lines = [
        mine,
        ("18", RUN, "PENDING", "/shared/other", "rule_train_stage_wildcards_00ff"),
        ("19", "0b7c3a52-97b8-4e2e-8b0f-1d6f7c2d9e11", "RUNNING", "/shared/study", "rule_map"),
        ("20", "bash", "RUNNING", "/shared/study", "(null)"),
        ("21", RUN, "PENDING", "/shared/study", "group|of|several"),
    ]
    (queue / "queue").write_text(told(*lines))
    left = jobs_left(Path("/shared/study"))
    assert left == [
        QueuedJob("17", "RUNNING", "train_stage 00ff"),
        QueuedJob("21", "PENDING", "group|of|several"),
    ]
    cancel(Path("/shared/study"), left)
    assert (queue / "cancelled").read_text() == "17 21\n"


def test_without_slurm_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jobs_left(tmp_path) == []


def test_a_controller_that_is_away_is_one_sentence(queue: Path) -> None:
    (queue / "down").touch()
    with pytest.raises(UserError) as caught:
        jobs_left(queue)
    assert str(caught.value) == (
        "SLURM does not answer `squeue` (slurm_load_jobs error: Unable to contact slurm controller), so nobody can "
        "tell whether jobs of a dead run are left; call this again when it does"
    )


def test_jobs_that_do_not_end_are_named(queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_jobs, "LEAVE_SECONDS", 0.1)
    (queue / "stuck").touch()
    (queue / "queue").write_text(told(("7", RUN, "COMPLETING", str(queue), "rule_train_stage")))
    with pytest.raises(UserError, match=r"^jobs 7 of a dead run were cancelled and have not ended in 0 s; look at"):
        cancel(queue, jobs_left(queue))
