"""Secrets of the environment are in no file of a run and in nothing that it prints, whatever its stages say."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.results_tree import Tree

SECRETS = {
    "HF_TOKEN": "hf_plantedInThisTest",
    "WANDB_API_KEY": "planted0123456789wandb",
    "AWS_ACCESS_KEY_ID": "PLANTEDKEYID",
    "AWS_SECRET_ACCESS_KEY": "planted/with+signs=",
    "AWS_SESSION_TOKEN": "planted-session",
    "WORLD_MODALITY_SERVERS": "ws://robot:planted-word@policies.example:8000",
}
VALUES = [*list(SECRETS.values())[:-1], "planted-word"]


def secrets_in(text: str) -> list[str]:
    return [value for value in VALUES if value in text]


@pytest.mark.parametrize("fails", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_no_file_and_no_line_of_a_run_holds_a_secret(tree: Tree, fails: bool) -> None:
    planted = {"WORLD_MODALITY_RUNNERS": "support.fake_stages:BLABBING", "FAKE_STAGE_SECRETS": " ".join(SECRETS)}
    tree.environment |= SECRETS | planted | ({"FAKE_STAGE_FAILS": "TrainSpec"} if fails else {})
    run = tree.snakemake("--cores", "2", "--keep-going", "--printshellcmds", check=False)
    assert run.returncode == (1 if fails else 0)
    assert ("RuntimeError: 401 Unauthorized for [HF_TOKEN] [WANDB_API_KEY]" in run.stderr) is fails
    assert (tree.results / "report").exists() is not fails
    told = run.stdout + run.stderr + tree.wm("status").stdout
    assert secrets_in(told) == []
    files = [path for path in tree.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    held = {path: secrets_in(path.read_bytes().decode(errors="replace")) for path in files}
    assert {path.relative_to(tree.folder): found for path, found in held.items() if found} == {}
    assert {"log.txt", "DONE.json", "run.json", *(["progress.txt"] if fails else [])} <= {path.name for path in files}
    assert any(".snakemake/log" in str(path) for path in files)
    _assert_told(next(tree.results.glob("encoder/*/log.txt")))
    assert '"told": "[HF_TOKEN] [WANDB_API_KEY]' in next(tree.results.glob("encoder/*/DONE.json")).read_text()


def _assert_told(log: Path) -> None:
    """The log has all that was printed but for the secrets: by Python, by others, in pieces and by a child."""
    told = "[HF_TOKEN] [WANDB_API_KEY] [AWS_ACCESS_KEY_ID] [AWS_SECRET_ACCESS_KEY] [AWS_SESSION_TOKEN] ws://"
    lines = [line for line in log.read_text().splitlines() if told in line]
    assert len(lines) == 5
    assert sum(line.startswith("native ") for line in lines) == 1
