"""The DAG as Snakemake sees it: plain invocations, changes, targets, failures."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable

import pytest
from support.fake_stages import UNITS, finished_units
from support.results_tree import ONE_TASK, REPOSITORY, Tree
from support.small_study import edited

STAGES = 14  # of ONE_TASK


def plan_line(output: str) -> str:
    return next(line for line in output.splitlines() if line.startswith("plan "))


def test_lint_and_format() -> None:
    lint = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint", "--configfile", "workflow/studies/embedded_base.yaml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    files: Iterable[str] = ["Snakefile", *(str(path) for path in sorted((REPOSITORY / "rules").glob("*.smk")))]
    subprocess.run([sys.executable, "-m", "snakefmt", "-l", "120", "--check", *files], cwd=REPOSITORY, check=True)


def test_a_study_from_nothing_and_what_a_change_reruns(tree: Tree) -> None:
    dry = tree.snakemake("-n")
    assert plan_line(dry.stderr) == f"plan         {STAGES} stages: 0 done, {STAGES} to run"
    assert not tree.done()
    assert "rule rollout_stage" not in dry.stdout + dry.stderr  # no list of jobs

    first = tree.snakemake("--cores", "2")
    assert len(tree.done()) == STAGES
    assert finished_units(tree.results) == STAGES * UNITS
    assert "demos task 0  " in first.stderr
    assert "a library prints this" not in first.stdout + first.stderr

    again = tree.wm("run")
    assert plan_line(again.stderr) == f"plan         {STAGES} stages: {STAGES} done, 0 to run"
    assert tree.attempts() == STAGES

    before = tree.done()
    tree.write(edited(("prophet_layers: 2", "prophet_layers: 3"), text=ONE_TASK))
    assert "train      1 of 3 done; E1/0, E2/0: world.prophet_layers 2 -> 3" in tree.snakemake("-n").stderr
    tree.wm("run", "--cores", "2")
    new = sorted(path.split("/")[0] for path in tree.done() - before)
    assert new == ["report", "rollout", "rollout", "rollout", "train", "train"]
    assert tree.attempts() == STAGES + len(new)

    tree.write(ONE_TASK)
    assert "0 to run" in plan_line(tree.wm("run").stderr)


def test_a_tree_copied_without_times_or_snakemakes_memory(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> None:
    tree.snakemake("--cores", "2")
    copy = Tree(tmp_path_factory.mktemp("copy"))
    for path in sorted(tree.results.rglob("*"), reverse=True):  # later stages get older files
        if path.is_file() and "by-name" not in path.parts:
            target = copy.results / path.relative_to(tree.results)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    result = copy.snakemake("--cores", "2")
    assert "Nothing to be done" in result.stderr
    assert copy.attempts() == STAGES


def test_a_target_and_then_the_rest_behind_an_incomplete_job(tree: Tree) -> None:
    tree.wm("run", "--cores", "2", "data")
    assert {name.split("/")[0] for name in tree.done()} == {"policy", "demos", "relabel", "dataset"}
    # As after a kill between sealing and Snakemake's notice of it:
    (dataset,) = (path.relative_to(tree.folder) for path in tree.results.glob("dataset/*/DONE.json"))
    marker = tree.folder / ".snakemake" / "incomplete" / base64.b64encode(str(dataset).encode()).decode()
    marker.parent.mkdir(exist_ok=True)
    marker.touch()
    tree.wm("run", "--cores", "2")
    assert len(tree.done()) == STAGES
    assert finished_units(tree.results) == STAGES * UNITS


def test_a_failing_stage_stops_only_what_needs_it(tree: Tree) -> None:
    tree.environment["WORLD_MODALITY_RUNNERS"] = "support.fake_stages:FAILING"
    result = tree.wm("run", "--cores", "2", check=False)
    assert result.returncode == 1
    assert "policy failed: ZeroDivisionError: division by zero (full account in results/policy/" in result.stderr
    assert "2 of 14 stages sealed; `wm resume` goes on from here" in result.stderr
    assert {name.split("/")[0] for name in tree.done()} == {"demos", "encoder"}


def test_errors_are_one_sentence(tree: Tree) -> None:
    tree.write(edited(("steps: 10\n", "stepps: 10\n"), text=ONE_TASK))
    result = tree.snakemake("-n", check=False)
    assert result.returncode == 1
    assert result.stderr.strip().startswith("study.yaml:13: training.stepps: unknown key; did you mean steps?")
    assert "\n" not in result.stderr.strip()


def test_only_a_study_with_pretraining_exports_a_base(tree: Tree) -> None:
    result = tree.snakemake("-n", "embedded_base", check=False)
    assert result.returncode == 1
    assert "small has no pretraining rounds to export" in result.stderr
    tree.write(ONE_TASK + "pretrain: [{demonstrations: 2, steps: 3}]\n")
    result = tree.snakemake("-n", "embedded_base")
    assert re.search(r"^train_stage +1$", result.stdout + result.stderr, re.M)
    assert "rollout_stage" not in result.stdout + result.stderr
