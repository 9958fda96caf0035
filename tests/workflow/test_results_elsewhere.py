"""A results tree of any place: named by an option, the environment or the study, with the same results."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.disks import mount, small_disk
from support.results_tree import REPOSITORY, SHORT_STAGES, SHORT_STUDY, Tree

from world_modality.cli.tree import results_of, results_of_last
from world_modality.store.layout import RESULTS, RESULTS_VARIABLE, results_folder


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RESULTS_VARIABLE, raising=False)


def test_the_option_goes_before_the_study_and_the_study_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, own = tmp_path / "plain.yaml", tmp_path / "own.yaml"
    plain.write_text(SHORT_STUDY)
    own.write_text(SHORT_STUDY + "results: ~/trees/mine\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert results_of(plain) == results_folder() == RESULTS
    assert results_of(own) == tmp_path / "trees" / "mine"
    monkeypatch.chdir(tmp_path)
    assert results_of_last(own) == tmp_path / "trees" / "mine"
    assert results_of_last(Path("none.yaml")) == RESULTS
    monkeypatch.setenv(RESULTS_VARIABLE, "elsewhere")
    assert results_of(own) == results_of(plain) == results_of_last(own) == Path("elsewhere")


def wm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "world_modality.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_no_module_takes_the_default_for_the_tree() -> None:
    """``cli.tree.results_of(study)`` and ``store.layout.results_folder()`` know better than the constant."""
    package = REPOSITORY / "world_modality"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bRESULTS\b", path.read_text())
    }
    assert found == {"store/layout.py", "cli/workflow.py"}


def test_every_command_about_results_takes_the_folder(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SHORT_STUDY + "results: of the study\n")
    assert wm(tmp_path, "explain").returncode == 0
    assert wm(tmp_path, "explain", "--results", "of the option").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml"}  # who only looks makes nothing
    told = wm(tmp_path, "verify", "--results", "none").stderr
    assert told == "there is no folder none here: call `wm verify` where the study was run\n"
    (tmp_path / "file").touch()
    told = wm(tmp_path, "run", "--results", "file/results").stderr
    assert told.startswith("the results folder file/results cannot be made (Not a directory): name another one")


def sealed(root: Path) -> dict[str, bytes]:
    return {path.parent.relative_to(root).as_posix(): path.read_bytes() for path in root.glob("*/*/DONE.json")}


@pytest.mark.slow
def test_a_run_elsewhere_is_the_same_run(complete: Tree, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    tree = Tree(tmp_path / "here")
    there = tmp_path / "a disk" / "with blanks"
    tree.write(f"{SHORT_STUDY}results: {there}\n")
    run = tree.wm("run", "--cores", "2")
    assert f"{SHORT_STAGES} to run" in run.stderr
    assert sealed(there) == sealed(complete.results)
    assert {path.name for path in tree.folder.iterdir()} == {".snakemake", "results", "study.yaml"}
    assert [path.name for path in tree.results.iterdir()] == ["last-study.txt"]  # where a bare command looks
    assert "study file   study.yaml (run last)" in tree.wm_without_study("resume").stderr
    assert f"{SHORT_STAGES} sealed stages checked, 0 damaged" in tree.verify()
    tree.write(SHORT_STUDY)  # the study does not say it any more
    tree.environment[RESULTS_VARIABLE] = os.path.relpath(there, tree.folder)
    plain = tree.snakemake("--cores", "2", "figures")
    assert f"{SHORT_STAGES} done, 0 to run" in plain.stderr
    del tree.environment[RESULTS_VARIABLE]  # which is remembered
    status = tree.wm_without_study("status").stdout.splitlines()
    assert status[0] == f"study file   study.yaml (run last, in {there.resolve()})"
    assert status[1].endswith(f": {SHORT_STAGES} of {SHORT_STAGES} stages done")
    assert next(there.glob("report/*/for-snakemake/report.html")).is_file()


def test_a_brace_in_the_folder_is_refused(tree: Tree) -> None:
    tree.environment[RESULTS_VARIABLE] = "re{s}ults"
    told = tree.snakemake("-n", check=False)
    assert told.returncode == 1
    assert "the results folder re{s}ults has a brace" in told.stderr


@pytest.mark.slow
def test_a_run_whose_disk_vanishes_ends_in_a_sentence_and_goes_on_when_it_is_back(tree: Tree, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with small_disk(tmp_path / "disk", 20_000) as disk:
        tree.environment |= {
            RESULTS_VARIABLE: str(disk / "results"),
            "WORLD_MODALITY_RUNNERS": "support.fake_stages:LOSING",
            "FAKE_STAGE_COMMAND": f"umount -l {disk}",
        }
        assert mount("--bind", str(disk), str(kept)).returncode == 0
        try:
            run = tree.wm("run", "--cores", "1", check=False)
            assert run.returncode == 1
            assert f"policy: the results folder {disk / 'results'} is gone: mount its disk again" in run.stderr
            assert not list(kept.glob("results/policy/*/DONE.json"))
            assert mount("--bind", str(kept), str(disk)).returncode == 0
            del tree.environment["FAKE_STAGE_COMMAND"]
            assert tree.wm("run", "--cores", "2").returncode == 0
            assert len(sealed(disk / "results")) == SHORT_STAGES
        finally:
            subprocess.run(["umount", "-l", str(kept)], capture_output=True, check=False)
