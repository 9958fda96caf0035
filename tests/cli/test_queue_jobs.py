"""Jobs that a dead run left in SLURM's queue, seen through stand-ins of SLURM's own commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.stand_in_slurm import install, run_of, told

from world_modality.cli import queue_jobs
from world_modality.cli.last_place import Place, remember_place
from world_modality.cli.queue_jobs import QueuedJob, cancel, job_prefix, jobs_left, require_none_left
from world_modality.errors import UserError


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose file ``queue`` is what squeue tells."""
    install(tmp_path, monkeypatch)
    monkeypatch.setattr(queue_jobs, "POLL_SECONDS", 0.01)
    return tmp_path


def test_only_jobs_of_runs_on_this_tree_are_its_own(queue: Path) -> None:
    """Another study that is run from the same working folder goes on."""
    root = queue / "results"
    lines = [
        ("17", run_of(root), "RUNNING", "rule_train_stage_wildcards_00ff"),
        ("18", run_of(queue / "others"), "RUNNING", "rule_train_stage_wildcards_00ff"),
        ("19", "0b7c3a52-97b8-4e2e-8b0f-1d6f7c2d9e11", "RUNNING", "rule_map"),
        ("20", "bash", "RUNNING", "(null)"),
        ("21", run_of(root), "PENDING", "group|of|several"),
    ]
    (queue / "queue").write_text(told(*lines))
    left = jobs_left(root)
    assert left == [
        QueuedJob("17", "RUNNING", "train_stage 00ff"),
        QueuedJob("21", "PENDING", "group|of|several"),
    ]
    cancel(root, left)
    assert (queue / "cancelled").read_text() == "17 21\n"


def test_a_tree_has_one_name_however_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {job_prefix(Path(each)) for each in ("results", "./results", f"{tmp_path}/results", "link/results")}
    assert len(names) == 1
    assert re.fullmatch(r"world-modality-[0-9a-f]{8}", names.pop())
    assert job_prefix(Path("results")) != job_prefix(Path("others"))


@pytest.mark.parametrize(
    ("last", "now", "refused"), [("slurm", "local", True), ("local", "slurm", True), ("local", "local", False)]
)
def test_jobs_that_are_left_keep_a_run_from_beginning(queue: Path, last: str, now: str, refused: bool) -> None:
    root = queue / "results"
    remember_place(root, Place(last, last))
    (queue / "queue").write_text(
        told(("17", run_of(root), "RUNNING", "rule_train_stage"), ("18", "bash", "RUNNING", ""))
    )
    if not refused:
        require_none_left(root, Place(now, now))
        return
    with pytest.raises(UserError) as caught:
        require_none_left(root, Place(now, now))
    assert str(caught.value) == (
        f"1 job of a dead run on {root}, still in SLURM's queue, would keep new ones waiting: call `wm resume`, which "
        "cancels what is left and goes on"
    )


def test_without_slurms_commands_nobody_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a laptop that sees the results folder of a cluster."""
    monkeypatch.setenv("PATH", str(tmp_path))
    remember_place(tmp_path, Place("slurm", "slurm"))
    with pytest.raises(UserError, match=r"^SLURM's commands \(`squeue`\) are not on this machine, so nobody can tell"):
        require_none_left(tmp_path, Place("local", "local"))
    remember_place(tmp_path, Place("local", "local"))
    require_none_left(tmp_path, Place("local", "local"))


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
    (queue / "queue").write_text(told(("7", run_of(queue), "COMPLETING", "rule_train_stage")))
    with pytest.raises(UserError, match=r"^jobs 7 of a dead run were cancelled and have not ended in 0 s; look at"):
        cancel(queue, jobs_left(queue))
