"""What the rules do with Snakemake's own objects."""

from __future__ import annotations

import ast
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError
from snakemake.settings.enums import Quietness
from support.small_study import graph_of

import world_modality
from world_modality.cli import snakefile
from world_modality.cli.run_study import profile_arguments
from world_modality.cli.workflow import Workflow

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
    found = snakefile.inputs_of(study, "dataset")(SimpleNamespace(key=dataset.key))
    assert found == [f"results/{each.stage}/{each.key}/DONE.json" for each in dataset.inputs]
    with pytest.raises(WorkflowError, match=r"^small has no stage train with key 0+; ask for a target"):
        snakefile.inputs_of(study, "train")(SimpleNamespace(key="0" * 16))
    with pytest.raises(WorkflowError, match=r"^small has no pretraining rounds to export; "):
        snakefile.input_of_export(study)(SimpleNamespace())


def test_a_profile_as_arguments(tmp_path: Path) -> None:
    profile = tmp_path / "config.yaml"
    profile.write_text("cores: all\nkeep-going: true\nnolock: false\nrerun-triggers: [input, mtime]\nlatency-wait: 5\n")
    assert profile_arguments(profile) == ["--keep-going", "--rerun-triggers", "input", "mtime", "--latency-wait", "5"]


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
