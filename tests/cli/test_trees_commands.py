"""`wm sync` and `wm merge` as someone types them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fake_tree import make, plan
from support.results_tree import SHORT_STUDY
from support.small_trees import STAGE, sealed
from support.small_trees import make as make_stage
from typer.testing import CliRunner

from world_modality.cli.main import app
from world_modality.errors import UserError

REPOSITORY = Path(__file__).parents[2]


def wm(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*words])
    if isinstance(result.exception, UserError):
        return 1, str(result.exception)
    return result.exit_code, result.stdout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a depot beside its results."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "depot").mkdir()
    return tmp_path


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_results_are_pushed_and_pulled_and_refusals_end_with_a_status(folder: Path) -> None:
    stage = make_stage(folder / "results", 0)
    assert wm("sync", "push", "depot") == (
        0,
        "push         1 sealed, 0 unfinished, 0 plans: depot\n",
    )
    (folder / "depot" / STAGE / stage.path.name / "artifact" / "weights.bin").write_bytes(b"v" * 300_000)
    shutil.rmtree(folder / "results")
    status, said = wm("sync", "pull", "depot")
    assert (status, sealed(folder / "results")) == (1, {})
    assert f"{STAGE}/{stage.path.name} (encoder 0) is not as it was sealed" in said
    assert "1 NOT copied" in said


def test_a_folder_without_results_is_one_sentence(folder: Path) -> None:
    assert wm("sync", "push", "depot")[1].startswith("there is no folder results here: call `wm sync push` where")
    assert wm("sync", "pull", "nowhere")[1].startswith("there is no folder nowhere: make it first")


def test_an_address_with_a_password_is_not_repeated(folder: Path) -> None:
    make_stage(folder / "results", 0)
    status, said = wm("sync", "push", "rsync://me:not-to-be-repeated@host/module")
    assert (status, "holds a password" in said, "not-to-be-repeated" in said) == (1, True, False)


def test_only_a_study_s_stages_are_copied(folder: Path) -> None:
    (folder / "study.yaml").write_text(SHORT_STUDY)
    make(plan(), lambda request: request.stage == "policy")
    make_stage(folder / "results", 0)
    assert wm("sync", "push", "depot", "--study", "study.yaml")[0] == 0
    assert [name.partition("/")[0] for name in sealed(folder / "depot")] == ["policy"]


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGINT])
def test_every_few_seconds_until_it_is_ended(folder: Path, ends: signal.Signals) -> None:
    command = [sys.executable, "-m", "world_modality.cli.main", "sync", "push", "depot", "--every", "0.1"]
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
        # a shell lets what it starts in the background ignore Ctrl-C, these tests too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    time.sleep(0.5)  # it may be there before the study is
    make_stage(folder / "results", 0)
    wait_for(lambda: len(sealed(folder / "depot")) == 1)
    make_stage(folder / "results", 1)
    wait_for(lambda: len(sealed(folder / "depot")) == 2)
    (folder / "depot").rename(folder / "away")
    time.sleep(3)
    (folder / "away").rename(folder / "depot")
    make_stage(folder / "results", 2)
    wait_for(lambda: len(sealed(folder / "depot")) == 3)
    process.send_signal(ends)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert said.endswith("push         stopped; the next call goes on where it was\n")
    assert said.count("depot is not there any more; tried again every 0.1 s\n") == 1
    assert said.count("depot answers again\n") == 1


def test_merge_tells_and_fails_where_something_was_not_taken(folder: Path) -> None:
    make_stage(folder / "two", 0)
    status, said = wm("merge", "two")
    assert status == 0
    assert "merge        1 stages taken, 0 equal here, 0 NOT taken" in said
    (make_stage(folder / "two", 1).artifact / "empty").write_text("not any more")
    status, said = wm("merge", "two")
    assert status == 1
    assert "(encoder 1) is not as it was sealed" in said
