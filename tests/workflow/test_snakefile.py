"""The DAG as Snakemake sees it: plain invocations, changes, targets, failures."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_stages import EPISODES, finished_episodes
from support.results_tree import REPOSITORY, SHORT_STAGES, SHORT_STUDY, Tree
from support.small_study import edited

from world_modality.cli.last_place import Place, last_place
from world_modality.cli.queue_jobs import job_prefix
from world_modality.facts.stages import STAGES


def plan_line(output: str) -> str:
    return next(line for line in output.splitlines() if line.startswith("plan "))


def kinds(done: set[str]) -> list[str]:
    return sorted(name.split("/")[0] for name in done)


def test_lint_and_format() -> None:
    study = "workflow/studies/embedded_base.yaml"
    lint = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint", "--configfile", study],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr
    files = ["Snakefile", "workflow/Snakefile", *(str(path) for path in sorted((REPOSITORY / "rules").glob("*.smk")))]
    subprocess.run([sys.executable, "-m", "snakefmt", "--check", *files], cwd=REPOSITORY, check=True)


def test_a_dry_run_explains_and_touches_nothing(tree: Tree) -> None:
    dry = tree.snakemake("-n")
    assert plan_line(dry.stderr) == f"plan         {SHORT_STAGES} stages: 0 done, {SHORT_STAGES} to run"
    assert {path.name for path in tree.results.iterdir()} <= {"snapshots", "digests.json"}  # what planning remembers
    assert "rule rollout_stage" not in dry.stdout + dry.stderr  # counts, but no list of jobs


def test_the_catalogues_snakefile_runs_the_same_study(tree: Tree) -> None:
    """With the default study and the environment of the repository, and with no target named."""
    dry = tree.snakemake("-n", "--snakefile", str(REPOSITORY / "workflow" / "Snakefile"))
    assert plan_line(dry.stderr) == f"plan         {SHORT_STAGES} stages: 0 done, {SHORT_STAGES} to run"
    assert re.search(rf"^total +{SHORT_STAGES + 1}$", dry.stdout + dry.stderr, re.M)


def test_a_whole_study(complete: Tree) -> None:
    assert len(complete.done()) == SHORT_STAGES
    assert finished_episodes(complete.results) == SHORT_STAGES * EPISODES
    output = complete.first_run.stdout + complete.first_run.stderr
    assert "demos task 0  " in output
    assert "a library prints this" not in output
    assert complete.report()


@pytest.mark.slow
def test_snakemakes_own_report_shows_page_and_figures_with_captions(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    tree.snakemake("--cores", "1", "figures")
    tree.snakemake("--report", "own.html", "figures")
    (made,) = tree.folder.rglob("own.html")
    text = made.read_text()
    assert "all-tasks" in text
    assert "Success rates in percent with their intervals" in text
    assert "One file that needs no network" in text
    assert "0 damaged" in tree.verify()


def test_a_change_reruns_what_depends_on_it_and_nothing_when_undone(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    before = tree.done()
    tree.write(edited(("prophet_layers: 2", "prophet_layers: 3"), text=SHORT_STUDY))
    explained = tree.wm("run", "--cores", "2").stderr
    assert explained.startswith("study ")
    assert "train        1 of 2 done; E2/0: world.prophet_layers 2 -> 3" in explained
    assert kinds(tree.done() - before) == ["report", "rollout", "train"]
    assert tree.attempts() == SHORT_STAGES + 3
    tree.write(SHORT_STUDY)
    assert "0 to run" in plan_line(tree.wm("run").stderr)


def test_a_copied_tree_is_complete_whatever_its_files_ages(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    result = tree.snakemake("--cores", "2")
    assert "Nothing to be done" in result.stdout + result.stderr
    assert tree.attempts() == SHORT_STAGES
    assert tree.report() == complete.report()


def test_a_damaged_result_is_seen_and_made_again(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    damaged, whole = (path.parent for path in sorted(tree.results.glob("rollout/*/DONE.json")))
    for folder in (damaged, whole):
        (folder / "DONE.json").unlink()
    (damaged / "artifact" / "result.json").unlink()
    for path in (tree.results / "finished-episodes").glob(f"{damaged.name}-*"):
        path.unlink()
    assert re.search(r"^rollout +1 +- +- +- +- +1$", tree.wm("status").stdout, re.M)
    assert f"{SHORT_STAGES - 1} done, 1 to run" in plan_line(tree.wm("run", "--cores", "2").stderr)
    assert len(tree.done()) == SHORT_STAGES
    assert tree.attempts() == SHORT_STAGES + 1
    assert "0 damaged" in tree.verify()
    (whole / "DONE.json").unlink()
    assert "0 to run" in plan_line(tree.wm("run").stderr)
    assert (whole / "DONE.json").exists()


def test_names_are_settled_before_the_first_job(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    tree.wm("run")
    names = tree.results / "by-name" / "small"
    assert (names / "result.json").exists()
    tree.write(edited(("prophet_layers: 2", "prophet_layers: 3"), text=SHORT_STUDY))
    tree.environment["WORLD_MODALITY_RUNNERS"] = "support.fake_stages:UNTRAINABLE"
    assert tree.wm("run", "--cores", "2", check=False).returncode == 1
    assert [path.name for path in (names / "train").iterdir()] == ["E0-seed0"]
    assert not (names / "result.json").is_symlink()


@pytest.mark.slow
def test_the_last_study_is_resumed(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    (tree.folder / "config.yaml").write_text("study: none\n")
    (tree.results / "last-study.txt").unlink()
    tree.snakemake("-n")
    tree.snakemake("--lint", check=False)
    assert tree.wm_without_study("status", check=False).stdout == "study file   config.yaml (none was run here yet)\n"
    (rollout, _) = sorted(path.parent for path in tree.results.glob("rollout/*/DONE.json"))
    rollout.rename(tmp_path / "away")
    for path in (tree.results / "finished-episodes").glob(f"{rollout.name}-*"):
        path.unlink()
    tree.snakemake("--cores", "2")
    assert tree.wm_without_study("status").stdout.startswith("study file   study.yaml (run last)\n")
    resumed = tree.wm_without_study("resume", "--no-verify").stderr.splitlines()
    assert resumed[:2] == [
        "study file   study.yaml (run last)",
        f"so far       {SHORT_STAGES} of {SHORT_STAGES} stages sealed",
    ]
    tree.write(SHORT_STUDY.replace("study: small", "study: other"))
    (tree.folder / "study.yaml").rename(tree.folder / "other.yaml")
    tree.wm_without_study("run", "--study", "other.yaml", "embedded_base", check=False)
    assert tree.wm_without_study("explain").stdout.startswith("study file   other.yaml (run last)\n")


def test_what_follows_a_job_that_snakemake_thinks_incomplete(complete: Tree, tmp_path: Path) -> None:
    """As after a kill between a stage's sealing and Snakemake's notice of it."""
    tree = complete.copy(tmp_path)
    (dataset,) = (path.relative_to(tree.folder) for path in tree.results.glob("dataset/*/DONE.json"))
    for kind in ("train", "rollout", "report"):
        for path in tree.results.glob(f"{kind}/*"):
            path.rename(tmp_path / path.name)
    marker = tree.folder / ".snakemake" / "incomplete" / base64.b64encode(str(dataset).encode()).decode()
    marker.parent.mkdir(parents=True)
    marker.touch()
    for path in (tree.results / "finished-episodes").iterdir():
        if (tmp_path / path.name.rsplit("-", 1)[0]).is_dir():
            path.unlink()
    tree.wm("run", "--cores", "2")
    assert len(tree.done()) == SHORT_STAGES
    assert tree.attempts() == SHORT_STAGES
    assert tree.report() == complete.report()


def test_a_failing_stage_stops_only_what_needs_it(tree: Tree) -> None:
    tree.environment["WORLD_MODALITY_RUNNERS"] = "support.fake_stages:FAILING"
    result = tree.wm("run", "--cores", "2", check=False)
    assert result.returncode == 1
    assert "policy failed: ZeroDivisionError: division by zero (full account in results/policy/" in result.stderr
    assert "CalledProcessError" not in result.stderr
    assert f"4 of {SHORT_STAGES} stages sealed; `wm resume` goes on from here" in result.stderr
    assert kinds(tree.done()) == ["dataset", "demos", "encoder", "latents"]


def test_errors_are_one_sentence(tree: Tree) -> None:
    tree.write(edited(("steps: 10\n", "stepps: 10\n"), text=SHORT_STUDY))
    result = tree.snakemake("-n", check=False)
    assert result.returncode == 1
    assert result.stderr.strip().startswith("study.yaml:12: training.stepps: unknown key; did you mean steps?")
    assert "\n" not in result.stderr.strip()


def test_a_setting_beside_the_study_is_refused(tree: Tree) -> None:
    result = tree.snakemake("-n", "--config", "suite=libero_goal", "nonsense=1", check=False)
    assert result.returncode == 1
    said = "--config suite nonsense: a study is one file; set it there, and name the file with --configfile"
    assert result.stderr.strip() == said


def test_touch_claims_nothing(tree: Tree) -> None:
    result = tree.snakemake("--cores", "1", "--touch", check=False)
    assert result.returncode == 1
    assert "--touch makes no result" in result.stdout + result.stderr
    assert "100%" not in result.stdout + result.stderr
    assert tree.done() == set()


SBATCH = """#!/bin/sh
echo "$@" >> "$SUBMITTED"
echo "no queue here" >&2
exit 1
"""


@pytest.mark.slow
def test_a_job_asks_slurm_for_what_its_row_says(complete: Tree, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    tree = complete.copy(tmp_path / "tree")
    for path in [*tree.results.glob("latents/*"), *tree.results.glob("report/*")]:
        path.rename(tmp_path / path.name)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sbatch", "squeue", "sacct", "sinfo", "scontrol", "scancel"):
        (tools / name).write_text(SBATCH if name == "sbatch" else "#!/bin/sh\nexit 0\n")
        (tools / name).chmod(0o755)
    submitted = tmp_path / "submitted.txt"
    tree.environment |= {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "SUBMITTED": str(submitted)}
    queue = ("--executor", "slurm", "--jobs", "4", "--slurm-no-account", "--default-resources", "slurm_partition=main")
    tree.snakemake(*queue, "--", "latents", check=False)
    (asked,) = submitted.read_text().splitlines()
    needs = STAGES["latents"].needs
    named = f"--job-name {job_prefix(tree.results)}_"
    for each in (
        named,
        f"--cpus-per-task={needs.cores}",
        f"--mem {needs.memory_mb}",
        f"-t {needs.minutes}",
        "--gpus=1",
    ):
        assert each in asked, asked
    assert last_place(tree.results) == Place("slurm", "slurm")
    otherwise = ("--set-threads", "latents_stage=3", "--set-resources", "latents_stage:gpu=0")
    tree.snakemake(*queue, *otherwise, "--", "latents", check=False)
    last = submitted.read_text().splitlines()[-1]
    assert "--cpus-per-task=3" in last
    assert "--gpus" not in last


def test_only_a_study_with_pretraining_exports_a_base(tree: Tree) -> None:
    result = tree.snakemake("-n", "embedded_base", check=False)
    assert result.returncode == 1
    assert "small has no pretraining rounds to export" in result.stdout + result.stderr
    tree.write(SHORT_STUDY + "pretrain: [{demonstrations: 2, steps: 3}]\n")
    result = tree.snakemake("-n", "embedded_base")
    assert re.search(r"^train_stage +1$", result.stdout + result.stderr, re.M)
    assert "rollout_stage" not in result.stdout + result.stderr


def test_the_plan_is_sealed_before_the_first_rollout_and_costs_no_rollout(complete: Tree, tmp_path: Path) -> None:
    (seal,) = complete.results.glob("sealed-plans/small/*.json")
    sealed = json.loads(seal.read_text())["sealed_at"]
    started = [path.read_text().split("\n")[0] for path in complete.results.glob("rollout/*/attempts.txt")]
    assert sealed <= min(started)
    tree = complete.copy(tmp_path)
    tree.write(SHORT_STUDY + "evidence: {margin: 0.02}\n")
    for _ in range(2):
        tree.wm("run", "--cores", "2")
        assert len(list(tree.results.glob("sealed-plans/small/*.json"))) == 2
    assert kinds(tree.done() - complete.done()) == ["report"]


def test_a_rollout_that_is_started_by_hand_seals_the_plan(complete: Tree, tmp_path: Path) -> None:
    tree = complete.copy(tmp_path)
    (seal,) = tree.results.glob("sealed-plans/small/*.json")
    seal.unlink()
    rollout = min(tree.results.glob("rollout/*"))
    rollout.rename(tmp_path / "away")
    for path in (tree.results / "finished-episodes").glob(f"{rollout.name}-*"):
        path.unlink()
    (plan,) = tree.results.glob("snapshots/*.json")
    tree.wm_without_study("stage", "rollout", rollout.name, "--plan", str(plan))
    (again,) = tree.results.glob("sealed-plans/small/*.json")
    assert json.loads(again.read_text())["sealed_at"] <= (rollout / "attempts.txt").read_text().split("\n")[0]
