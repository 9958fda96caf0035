"""The process of one stage, as Snakemake starts it."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.small_study import DISCRETE_STUDY, SMALL_STUDY, graph_of

from world_modality.cli.run_stage import _gpus
from world_modality.facts.stages import STAGES
from world_modality.store.arithmetic import SETTINGS
from world_modality.store.devices import CUDA, RENDERING_VARIABLE
from world_modality.store.done import read_done, read_run
from world_modality.store.layout import RESULTS, StageFolder, stage_folder
from world_modality.store.lock import exclusive
from world_modality.study.graph import Graph
from world_modality.study.snapshot import write_snapshot

TESTS = Path(__file__).parents[1]


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    graph = graph_of(tmp_path)
    write_snapshot(tmp_path / RESULTS, graph)
    return graph


def run_stage(
    tmp_path: Path, graph: Graph, name: str, runners: str = "RUNNERS", key: str | None = None, *options: str
) -> subprocess.CompletedProcess[str]:
    request = graph.stages[graph.names[name]]
    plan = next((tmp_path / RESULTS / "snapshots").iterdir())
    command = ["-m", "world_modality.cli.main", "stage", request.stage, key or request.key, "--cores", "2", *options]
    environment = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]),
        "WORLD_MODALITY_RUNNERS": f"support.fake_stages:{runners}",
        "WORLD_MODALITY_SNAPSHOT": str(plan.relative_to(tmp_path)),
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def folder_of(tmp_path: Path, graph: Graph, name: str) -> StageFolder:
    request = graph.stages[graph.names[name]]
    return stage_folder(tmp_path / RESULTS, request.stage, request.key)


def test_an_offline_evaluation_that_is_started_by_hand_seals_the_plan_before_it_starts(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, DISCRETE_STUDY)
    write_snapshot(tmp_path / RESULTS, graph)
    assert run_stage(tmp_path, graph, "offline/A-seed0").returncode == 1  # what it reads is not there
    assert len(list((tmp_path / RESULTS / "sealed-plans" / graph.study).glob("*.json"))) == 1


@pytest.mark.parametrize(("asked", "told"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_where_they_wait_unless_a_user_says_otherwise(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch, asked: str | None, told: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", asked)
    assert run_stage(tmp_path, graph, "policy", "TELLING").returncode == 0
    assert f"{told} False" in folder_of(tmp_path, graph, "policy").log.read_text().splitlines()


def test_a_stage_computes_as_its_study_says_from_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(tmp_path, SMALL_STUDY + "arithmetic: portable\n")
    write_snapshot(tmp_path / RESULTS, graph)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert run_stage(tmp_path, graph, "policy", "TELLING").returncode == 0
    folder = folder_of(tmp_path, graph, "policy")
    assert "PASSIVE False" in folder.log.read_text().splitlines()
    run = read_run(folder.run)
    assert run is not None
    assert run.machine["capability"] == dict(SETTINGS)


def test_progress_on_the_terminal_everything_else_in_the_log(tmp_path: Path, graph: Graph) -> None:
    result = run_stage(tmp_path, graph, "demos/task1")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("demos task 1 ") for line in lines)
    assert lines[-1].split("  ")[-1] == "done in 0:00"
    folder = folder_of(tmp_path, graph, "demos/task1")
    assert folder.log.read_text() == "a library prints this\nand warns about that\n"
    link = tmp_path / RESULTS / "by-name" / "small" / "demos" / "task1"
    assert link.resolve() == folder.artifact
    record = read_done(folder.done)
    assert record is not None
    assert (record.key, record.label, record.facts) == (folder.path.name, "demos task 1", {"episodes": 3})
    again = run_stage(tmp_path, graph, "demos/task1")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_failed_stage_says_so_in_one_sentence(tmp_path: Path, graph: Graph) -> None:
    result = run_stage(tmp_path, graph, "policy", "FAILING")
    log = folder_of(tmp_path, graph, "policy").log.relative_to(tmp_path)
    assert result.returncode == 1
    assert result.stderr == f"policy failed: ZeroDivisionError: division by zero (full account in {log})\n"
    assert "Traceback" in (tmp_path / log).read_text()
    failed = folder_of(tmp_path, graph, "policy").failed
    assert failed.read_text().endswith(" ZeroDivisionError: division by zero\n")
    assert run_stage(tmp_path, graph, "policy").returncode == 0
    assert not failed.exists()


def test_a_stage_that_shares_its_work_out_takes_the_gpus_that_are_free_now(
    tmp_path: Path, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the locks lie
    monkeypatch.setenv(RENDERING_VARIABLE, "")
    monkeypatch.setenv(CUDA, "0,1,2")
    (latents, *_), (train, *_) = graph.of("latents"), graph.of("train")
    with _gpus(train, 1):
        assert os.environ[CUDA] == "0"
        os.environ[CUDA] = "0,1,2"  # what another of the user's jobs is given
        with _gpus(latents, 3):
            assert os.environ[CUDA] == "1,2"
    monkeypatch.delenv(RENDERING_VARIABLE)
    monkeypatch.setenv(CUDA, "2,3")
    with _gpus(train, None):  # in a queue
        assert (os.environ[CUDA], os.environ[RENDERING_VARIABLE]) == ("2,3", "2")


def test_missing_upstream_and_unknown_key(tmp_path: Path, graph: Graph) -> None:
    result = run_stage(tmp_path, graph, "dataset")
    assert result.returncode == 1
    assert result.stderr.startswith("dataset: needs results/demos/")
    assert result.stderr.count("\n") == 1
    result = run_stage(tmp_path, graph, "dataset", key="0" * 16)
    assert result.returncode == 1
    assert "has no stage dataset with key 0000000000000000" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_job_goes_on_with_the_stages_of_its_kind_that_nobody_works_on(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, SMALL_STUDY.replace("tasks: [0, 1]", "tasks: [0, 1, 2]"))
    write_snapshot(tmp_path / RESULTS, graph)
    zero, one, two = (folder_of(tmp_path, graph, f"demos/task{task}") for task in range(3))
    with exclusive(two.lock, lambda: None):
        result = run_stage(tmp_path, graph, "demos/task0", "RUNNERS", None, "--together")
    assert result.returncode == 0, result.stderr
    assert [folder.done.exists() for folder in (zero, one, two)] == [True, True, False]
    assert one.log.read_text() == "a library prints this\nand warns about that\n"  # each has its own
    assert (tmp_path / RESULTS / "by-name" / "small" / "demos" / "task1").resolve() == one.artifact
    assert run_stage(tmp_path, graph, "demos/task0", "RUNNERS", None, "--together").returncode == 0
    assert not two.done.exists()  # a job whose own stage was there has nothing to share
    assert not any(folder_of(tmp_path, graph, name).done.exists() for name in ("policy", "relabel/task0"))


@pytest.mark.parametrize("kind", STAGES.names)
def test_every_kind_of_stage_has_a_runner(kind: str) -> None:
    module, _, function = STAGES[kind].runner.text.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    definitions = ast.parse(Path(spec.origin).read_text()).body
    (found,) = [node for node in definitions if isinstance(node, ast.FunctionDef) and node.name == function]
    assert [argument.arg for argument in found.args.args] == ["spec", "context"]
