"""What `wm run` does around Snakemake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser
from snakemake.settings.enums import RerunTrigger
from support.small_study import SMALL_STUDY, graph_of
from support.stand_in_slurm import install, run_of, told

from world_modality.cli import run_study
from world_modality.cli.last_place import Place, last_place, remember_place
from world_modality.cli.last_plan import remember_results
from world_modality.cli.planning import Planned
from world_modality.cli.profiles import PROFILES, Where, find_profile
from world_modality.cli.queue_jobs import job_prefix
from world_modality.errors import UserError
from world_modality.store.layout import RESULTS_VARIABLE


def test_a_lock_that_cannot_be_removed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys; sys.exit('WorkflowError:\\n    Unlocking failed.')"
    monkeypatch.setattr(run_study, "_snakemake", lambda study: [sys.executable, "-c", script])
    monkeypatch.chdir(tmp_path)
    run_study._unlock(Path("study.yaml"))
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    run_study._unlock(Path("study.yaml"))
    (locks / "0.input.lock").touch()
    with pytest.raises(UserError) as caught:
        run_study._unlock(Path("study.yaml"))
    assert str(caught.value) == (
        "cannot remove the lock that a dead run left in .snakemake/locks (Unlocking failed.); remove it by hand"
    )


def test_a_target_that_does_not_exist_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(SMALL_STUDY)
    with pytest.raises(UserError, match=r"there is no target nonsense; choose from all, data, .*videos, report"):
        run_study.run_study(Path("study.yaml"), Where(find_profile("local"), 1), ["nonsense"])


def test_a_run_says_where_the_one_before_had_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RESULTS_VARIABLE, raising=False)
    study, there = Path("study.yaml"), tmp_path / "there"
    study.write_text(SMALL_STUDY)
    remember_results(study, there, Path("results"))
    with pytest.raises(UserError, match="there is no target nonsense"):
        run_study.run_study(study, Where(find_profile("local"), 1), ["nonsense"])
    told = "results      results; the run before was in there: `--results there` goes on there\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("profile", [*sorted(file.parent.name for file in PROFILES.glob("*/config.yaml")), "./mine"])
def test_whatever_a_profile_leaves_out_a_run_can_be_gone_on_with(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Snakemake reads it."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    own = "executor: slurm\njobs: 4\nrerun-triggers: [code, mtime]\nslurm-jobname-prefix: own\n"
    Path("mine", "config.yaml").write_text(own)
    root, where = tmp_path / "results", Where(find_profile(profile), 1)
    command = run_study._command(Path("study.yaml"), root, where, ["train"])
    read = get_argument_parser().parse_args(command[command.index("snakemake") + 1 :])
    assert read.targets == ["train"]
    assert read.rerun_incomplete
    assert read.rerun_triggers == {RerunTrigger.INPUT, RerunTrigger.MTIME}
    if where.executor == "slurm":
        assert read.slurm_jobname_prefix == job_prefix(root)
        assert (read.slurm_keep_successful_logs is True) == (profile == "slurm")


def test_a_run_is_not_begun_beside_the_jobs_of_a_dead_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(SMALL_STUDY)
    remember_place(Path("results"), Place("slurm", "slurm"))
    (tmp_path / "queue").write_text(told(("17", run_of(Path("results")), "RUNNING", "rule_train_stage")))
    for profile in ("slurm", "local"):
        with pytest.raises(UserError, match=r"^1 job of a dead run on results, still in SLURM's queue, .* `wm resume`"):
            run_study.run_study(Path("study.yaml"), Where(find_profile(profile), 1), [])
    assert last_place(Path("results")) == Place("slurm", "slurm")  # where `wm resume` looks for them


def test_a_signal_that_ended_snakemake_is_told_as_a_shell_does() -> None:
    def ended(*code: str) -> int:
        return run_study._wait(subprocess.Popen([sys.executable, "-c", "\n".join(code)]))

    assert ended("import os", "os.kill(os.getpid(), 9)") == 137
    assert ended("import sys", "sys.exit(1)") == 1
    assert ended("pass") == 0


def test_a_run_that_was_stopped_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = Path(".snakemake", "log", "now.snakemake.log")
    log.parent.mkdir(parents=True)
    log.touch()
    planned = Planned(graph_of(tmp_path), Path("results"), "small")
    line = "stopped      0 of 35 stages sealed; `wm resume` goes on from here"
    assert run_study._stopped(Path("results"), planned, run_study.INTERRUPTED) == line
    assert run_study._stopped(Path("results"), planned, run_study.TERMINATED) == line
    assert run_study._stopped(Path("results"), planned, 1) == f"{line}\nlog          {log}"


def test_a_remote_is_gone_on_with_unless_another_or_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    last = Place("local", "local", "/depot")
    assert run_study._remote(None, last) == "/depot"
    assert capsys.readouterr().err == "share        /depot, as in the run before; without it: --share ''\n"
    assert [run_study._remote(given, last) for given in ("", "s3://bucket")] == ["", "s3://bucket"]
    assert run_study._remote(None, Place("local", "local")) == ""
    assert capsys.readouterr().err == ""
