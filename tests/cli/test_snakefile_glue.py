"""What the rules do with Snakemake's own objects."""

from __future__ import annotations

import ast
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.iocontainers import ResourceList
from snakemake.resources import Resources
from snakemake.settings.enums import Quietness
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm_jobstep import get_node_setting
from support.small_study import edited, graph_of

import world_modality
from world_modality.cli import snakefile
from world_modality.cli.profiles import PROFILES, profile_arguments, profile_of_command
from world_modality.cli.queue_jobs import job_prefix
from world_modality.cli.workflow import Machine, Workflow
from world_modality.facts.stages import STAGES, StageKind
from world_modality.store import devices
from world_modality.study.study import Study

MANY_EPISODES = "  init_states: 10-49\n  episodes: 40"
LIBRARY = Path(world_modality.__file__).parent


def handler(name: str) -> logging.Handler:
    made = logging.StreamHandler()
    made.name = name
    return made


def shown(made: logging.Handler, level: int, text: str) -> bool:
    record = logging.LogRecord("snakemake", level, "", 0, text, None, None)
    return record.levelno >= made.level and bool(made.filter(record))


def test_a_terse_snakemake_speaks_only_of_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, file = handler("DefaultStreamHandler"), handler("DefaultLogFileHandler")
    monkeypatch.delenv(snakefile.TERSE_VARIABLE, raising=False)
    snakefile.speak_rarely([terminal, file])
    assert shown(terminal, logging.INFO, "rule train_stage")
    monkeypatch.setenv(snakefile.TERSE_VARIABLE, "1")
    snakefile.speak_rarely([terminal, file])
    assert not shown(terminal, logging.INFO, "rule train_stage")
    assert not shown(terminal, logging.ERROR, "CalledProcessError in rule train_stage")
    assert not shown(terminal, logging.ERROR, "WorkflowError:\nAt least one job did not complete successfully.")
    assert not shown(terminal, logging.ERROR, "Cancelling snakemake on user request.")
    assert shown(terminal, logging.ERROR, "LockException")
    assert shown(file, logging.INFO, "rule train_stage")


@pytest.mark.parametrize(
    ("dry_run", "quiet", "commands", "hidden"),
    [
        (True, None, False, True),
        (True, {Quietness.HOST}, False, False),
        (True, None, True, False),
        (False, None, False, False),
    ],
)
def test_a_dry_run_hides_its_jobs_unless_told_otherwise(
    dry_run: bool, quiet: set[Quietness] | None, commands: bool, hidden: bool
) -> None:
    settings = SimpleNamespace(dryrun=dry_run, quiet=quiet, printshellcmds=commands)
    snakefile.hide_jobs_of_dry_run(settings)
    assert settings.quiet == ({Quietness.RULES, Quietness.PROGRESS} if hidden else quiet)


def test_input_functions_ask_the_study(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    study = Workflow(graph, tmp_path / "plan.json")
    (dataset,) = graph.of("dataset")
    workflow = SimpleNamespace(touch=False, executor_settings=None)
    found = snakefile.inputs_of(study, "dataset", workflow)(SimpleNamespace(key=dataset.key))
    assert found == [f"results/{each.stage}/{each.key}/DONE.json" for each in dataset.inputs]
    with pytest.raises(WorkflowError, match=r"^small has no stage train with key 0+; ask for a target"):
        snakefile.inputs_of(study, "train", workflow)(SimpleNamespace(key="0" * 16))
    with pytest.raises(WorkflowError, match=r"^small has no pretraining rounds to export; "):
        snakefile.input_of_export(study)(SimpleNamespace())


@pytest.mark.parametrize("key", [*Study.model_fields, "nonsense"])
def test_a_setting_beside_the_study_is_refused(key: str) -> None:
    """It would be in no file, and in no key."""
    given = SimpleNamespace(is_main_process=True, config_settings=SimpleNamespace(config={key: 1}))
    with pytest.raises(SystemExit, match=f"^--config {key}: a study is one file; set it there, and name the file with"):
        snakefile.open_study(given)


def test_touch_is_refused_as_results_have_no_age(tmp_path: Path) -> None:
    study = Workflow(graph_of(tmp_path), tmp_path / "plan.json")
    ask = snakefile.inputs_of(study, "report", SimpleNamespace(touch=True, executor_settings=None))
    with pytest.raises(WorkflowError, match=r"^--touch makes no result, and none counts by its age: leave it out"):
        ask(SimpleNamespace(key=study.graph.report.key))


def test_the_jobs_of_a_queue_are_named_after_their_tree_before_the_executor_reads_it(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    settings = SimpleNamespace(jobname_prefix="a profile's own")
    workflow = SimpleNamespace(touch=False, executor_settings=settings)
    for root in (tmp_path / "one", tmp_path / "two"):
        study = Workflow(graph, tmp_path / "plan.json", root=root)
        snakefile.inputs_of(study, "report", workflow)(SimpleNamespace(key=graph.report.key))
        assert settings.jobname_prefix == job_prefix(root)


def snakemake_on(*, cores: int | None, queued: bool = False, there: bool = False) -> Any:
    return SimpleNamespace(
        is_main_process=not there,
        remote_exec=there,
        non_local_exec=queued,
        resource_settings=SimpleNamespace(cores=cores),
        global_resources=Resources(),
    )


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run tells its jobs ends with the test."""
    monkeypatch.setenv(devices.TOLD_VARIABLE, "")


def asked_of(study: Workflow, kind: str, workflow: Any, key: str = "") -> dict[str, int]:
    """All that a job of the kind's first stage, or of this one, asks for."""
    wildcards = SimpleNamespace(key=key or next(study.graph.of(kind)).key)
    named = snakefile.resources_of(study, kind, workflow) | {"cores": snakefile.cores_of(study, kind, workflow)}
    return {name: value(wildcards) if callable(value) else value for name, value in named.items()}


@pytest.mark.parametrize("kind", STAGES, ids=lambda kind: kind.name)
def test_a_job_in_a_queue_asks_for_the_cores_of_its_row_wherever_it_is_submitted(
    kind: StageKind, tmp_path: Path
) -> None:
    """And the queue's own machine, which asks once more, gives it as many."""
    study = Workflow(
        graph_of(tmp_path, edited(("  init_states: 30-33\n  episodes: 4", MANY_EPISODES))), tmp_path / "plan"
    )
    request = next(iter(study.graph.of(kind.name)), None)
    wildcards = SimpleNamespace(key=request.key if request else "0" * 16)

    def cores(submitting: int | None, *, queued: bool = False, there: bool = False) -> int:
        workflow = snakemake_on(cores=submitting, queued=queued, there=there)
        return snakefile.cores_of(study, kind.name, workflow)(wildcards)

    asked = {cores(64, queued=True), cores(None, queued=True), cores(2, queued=True), cores(96, there=True)}
    assert asked == {kind.needs.cores}
    here = {own: cores(own) for own in (1, 2)}
    assert here == ({1: 1, 2: 2} if kind.needs.all_cores or kind.shared else {1: 1, 2: 1})


def test_a_rollout_is_given_no_more_cores_than_its_episodes_are_worth(tmp_path: Path) -> None:
    study = Workflow(graph_of(tmp_path), tmp_path / "plan.json")
    rollout = next(study.graph.of("rollout"))
    assert study.cores("rollout", rollout.key, Machine(64, 0)) == study.cores("rollout", rollout.key, None) == 1


def test_jobs_of_a_machine_with_gpus_share_them_and_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    study = Workflow(
        graph_of(tmp_path, edited(("  init_states: 30-33\n  episodes: 4", MANY_EPISODES))), tmp_path / "plan"
    )
    workflow = snakemake_on(cores=64)
    snakefile.share_out_gpus(workflow)
    assert workflow.global_resources["gpu"].value == 8

    def given(kind: str) -> tuple[int, int]:
        asked = asked_of(study, kind, workflow)
        return asked["cores"], asked["gpu"]

    assert given("train") == (8, 1)
    assert given("rollout") == (8, 1)
    assert given("latents") == (64, 8)
    assert given("demos") == (1, 0)
    option = snakefile.options_here(workflow)(None, SimpleNamespace(gpu=8))
    assert option == "--together --gpus 8"


def test_a_training_in_several_processes_is_given_a_gpu_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = edited(("training:", "training:\n  processes: 4"), ("batch_size: 2", "batch_size: 4"))
    study = Workflow(graph_of(tmp_path, text), tmp_path / "plan")
    for listed, here in (("0,1,2,3,4,5,6,7", (4, 32)), ("0,1", (2, 64)), ("", (0, 64))):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        asked = asked_of(study, "train", snakemake_on(cores=64))
        assert (asked["gpu"], asked["cores"]) == here
        assert asked_of(study, "train", snakemake_on(cores=None, queued=True))["gpu"] == 4


@pytest.mark.parametrize(("device", "gpus"), [("auto", "--gpus=4"), ("cpu", "")])
def test_slurm_gives_the_processes_of_a_training_one_node(device: str, gpus: str, tmp_path: Path) -> None:
    """What the executor itself makes of a job's resources."""
    text = edited(("training:", f"training:\n  processes: 4\n  device: {device}"), ("batch_size: 2", "batch_size: 4"))
    asked = asked_of(Workflow(graph_of(tmp_path, text), tmp_path), "train", snakemake_on(cores=None, queued=True))
    needs = STAGES["train"].needs
    job = SimpleNamespace(threads=asked.pop("cores"), resources=ResourceList(fromdict=asked))
    told = dict.fromkeys(("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir"), "")
    words = set((get_submit_command(job, told) + set_gres_string(job)).split())
    assert {"--nodes=1", f"--cpus-per-task={4 * needs.cores}", str(4 * needs.memory_mb)} <= words
    assert {word for word in words if word.startswith(("--gpus", "--ntasks"))} == ({gpus} if gpus else {"--ntasks=1"})
    assert get_node_setting(job) == "--nodes=1"  # of the step that runs there


def test_what_has_one_process_is_asked_for_by_its_row(tmp_path: Path) -> None:
    study, queue = Workflow(graph_of(tmp_path), tmp_path), snakemake_on(cores=None, queued=True)
    for kind in ("train", "rollout", "demos"):
        asked = asked_of(study, kind, queue)
        assert (asked["mem_mb"], asked["runtime"]) == (STAGES[kind].needs.memory_mb, STAGES[kind].needs.minutes)
        assert ("nodes" in asked) == (kind == "train")  # a group's job would ask for the sum


def test_who_says_how_many_gpus_a_run_may_take_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    workflow = snakemake_on(cores=16)
    workflow.global_resources["gpu"] = 2
    snakefile.share_out_gpus(workflow)
    assert workflow.global_resources["gpu"].value == 2
    assert asked_of(Workflow(graph_of(tmp_path), tmp_path), "latents", workflow)["gpu"] == 2


def test_a_container_without_drivers_has_the_gpus_of_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (devices.CUDA, devices.HIP, devices.ROCM, devices.RENDERING_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(devices, "NVIDIA_GPUS", tmp_path)
    monkeypatch.setattr(devices, "AMD_NODES", tmp_path)
    study, workflow = Workflow(graph_of(tmp_path), tmp_path), snakemake_on(cores=64)
    snakefile.share_out_gpus(workflow)
    assert asked_of(study, "train", workflow)["gpu"] == 0
    workflow.global_resources["gpu"] = 8  # as workflow/profiles/gpu_node
    snakefile.share_out_gpus(workflow)
    asked = asked_of(study, "train", workflow)
    assert (asked["gpu"], asked["cores"]) == (1, 8)
    assert asked_of(study, "latents", workflow)["gpu"] == 8
    with devices.holding(1, list, tmp_path / "locks") as held:  # a job, and one beside it
        assert held == ("0",)
        os.environ.pop(devices.CUDA)  # who begins beside it has no list
        with devices.holding(8, list, tmp_path / "locks", least=1) as rest:
            assert rest == tuple("1234567")
            assert os.environ[devices.CUDA] == "1,2,3,4,5,6,7"
    queue = snakemake_on(cores=None, queued=True)
    queue.global_resources["gpu"] = 8
    snakefile.share_out_gpus(queue)  # a number of jobs' GPUs, which says nothing of a node
    assert devices.visible_gpus().gpus == ()


def test_what_a_study_computes_on_the_cpu_asks_for_no_gpu(tmp_path: Path) -> None:
    study = Workflow(graph_of(tmp_path, edited(("training:", "training:\n  device: cpu"))), tmp_path / "plan")
    queue = snakemake_on(cores=None, queued=True)
    assert asked_of(study, "train", queue)["gpu"] == 0
    assert snakefile.options_here(queue)(None, SimpleNamespace(gpu=0)) == ""


def test_a_profile_as_arguments(tmp_path: Path) -> None:
    profile = tmp_path / "config.yaml"
    profile.write_text("cores: all\nkeep-going: true\nnolock: false\nrerun-triggers: [input, mtime]\nlatency-wait: 5\n")
    assert profile_arguments(tmp_path) == ["--keep-going", "--rerun-triggers", "input", "mtime", "--latency-wait", "5"]


def test_only_the_rules_module_imports_snakemake_and_only_when_called() -> None:
    importing = set()
    for path in LIBRARY.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[0] == "snakemake" for name in names):
                assert node not in tree.body, f"{path} imports Snakemake when it is imported"
                importing.add(path.relative_to(LIBRARY).as_posix())
    assert importing == {"cli/snakefile.py"}


def test_a_target_names_missing_stages_that_snakemake_would_overlook(tmp_path: Path) -> None:
    graph = graph_of(tmp_path)
    report = graph.report.key
    (dataset,), (encoder,) = graph.of("dataset"), graph.of("encoder")
    train = [request.key for request in graph.of("train")]
    everything = frozenset(graph.stages)

    def extra(missing: set[str], target: str = "report") -> set[str]:
        done = Workflow(graph, tmp_path, sealed=everything - missing).target(target)
        assert len(done) == len(set(done))
        named = {Path(path).parent.name for path in done}
        return named - {request.key for request in graph.of(target)}

    assert extra(set()) == set()
    assert extra(set(everything)) == set()
    assert extra({report}) == set()
    assert extra({dataset.key, encoder.key}) == {dataset.key, encoder.key}
    assert extra({train[0], report}) == {train[0]}
    assert extra({train[0], dataset.key}, "train") == {dataset.key}
    assert extra({train[0]}, "latents") == set()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], None),
        (["--cores", "2"], None),
        (["--executor", "slurm", "--jobs", "4"], "slurm"),
        (["--executor=slurm"], "slurm"),
        (["-e", "slurm", "--profile", "workflow/profiles/gpu_node"], "gpu_node"),
        (["--executor", "kubernetes"], None),
    ],
)
def test_where_plain_snakemake_runs_is_known(
    arguments: list[str], named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROFILES.parents[1])
    found = profile_of_command(["snakemake", *arguments], {})
    assert found == (None if named is None else PROFILES / named)
