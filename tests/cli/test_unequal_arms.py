"""Arms that would be trained differently stop every command that plans, before anything runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY

from world_modality.cli.main import main
from world_modality.cli.workflow import open_workflow
from world_modality.errors import UserError
from world_modality.study import graph
from world_modality.study.slices import optim_spec
from world_modality.study.specs import OptimSpec
from world_modality.study.study import Study

SENTENCE = "optim.batch_size is 2 against 3; arms share every setting that they do not declare"


@pytest.fixture(autouse=True)
def unequal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def optim(study: Study, memory: str, **_: bool) -> OptimSpec:
        return optim_spec(study, memory).model_copy(update={"batch_size": 3 if memory == "zero" else 2})

    monkeypatch.setattr(graph, "optim_spec", optim)
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(SMALL_STUDY)


@pytest.mark.parametrize("command", ["run", "resume", "explain", "status"])
def test_wm_says_so_in_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["wm", command, "--study", "study.yaml"])
    if command == "resume":
        Path("results", "snapshots").mkdir(parents=True)  # of the run that it goes on with
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("train E0/0 and train E1/0 differ in more than was declared: ")
    assert said.endswith(SENTENCE)
    assert "\n" not in said
    assert not list(Path("results").glob("snapshots/*"))


@pytest.mark.parametrize("dry_run", [True, False])
def test_so_does_snakemake(dry_run: bool) -> None:
    with pytest.raises(UserError, match=SENTENCE):
        open_workflow(["study.yaml"], Path("config.yaml"), 1, dry_run)
