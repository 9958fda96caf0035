"""Several helpers on one study's rollouts."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
from support.small_study import edited

from world_modality.cli import turns as turns_module
from world_modality.cli.join import join
from world_modality.cli.last_place import Place, remember_place
from world_modality.cli.planning import Planned, done_keys, plan_study
from world_modality.cli.run_stage import RUNNERS_VARIABLE, run_stage
from world_modality.cli.share import share_of
from world_modality.cli.turns import Turns
from world_modality.errors import UserError
from world_modality.store.done import read_done
from world_modality.store.layout import RESULTS, SHARE_VARIABLE, stage_folder
from world_modality.store.lock import shared

TESTS = Path(__file__).parents[1]
STUDY = edited(
    ("tasks: [0, 1]", "tasks: [0]"),
    ("ablations: [zero, random]", "ablations: [zero]"),
)


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(RUNNERS_VARIABLE, "support.fake_stages:RUNNERS")
    (tmp_path / "config.yaml").write_text(STUDY)
    return plan_study(Path("config.yaml"), RESULTS)


def make(planned: Planned, *kinds: str, seed: str = "") -> None:
    for request in planned.graph.stages.values():
        if request.stage in kinds and (request.stage != "train" or seed in request.label):
            assert run_stage(RESULTS, planned.snapshot, request.stage, request.key, 1) == 0


UPSTREAM = ("policy", "encoder", "demos", "relabel", "dataset", "latents", "train")


def helper(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}", "FAKE_STAGE_SECONDS": "0.05"}
    command = [sys.executable, "-m", "world_modality.cli.main", "join", "--cores", "1"]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_what_has_its_training_is_rolled_out_and_the_rest_is_counted(
    planned: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    make(planned, "policy")
    assert join(RESULTS, Path("config.yaml"), 1) == 0
    rollouts = list(planned.graph.of("rollout"))
    assert f"{len(rollouts)} rollouts wait for their trainings" in capsys.readouterr().out
    make(planned, *UPSTREAM, seed="/1")
    assert join(RESULTS, Path("config.yaml"), 1) == 0
    sealed = [request for request in rollouts if request.key in done_keys(RESULTS, planned.graph)]
    assert len(sealed) == len(rollouts) // 2
    assert all("/1 " in request.label for request in sealed)
    assert f"{len(rollouts) // 2} rollouts wait" in capsys.readouterr().out


def test_where_nothing_was_run_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refused:
        join(RESULTS, Path("config.yaml"), 1)
    assert str(refused.value) == (
        "nothing was run in results yet, so there is nothing to help with: begin with `wm run --study config.yaml`, or "
        "name the folder of the results with --results"
    )
    assert not RESULTS.exists()


def test_what_nobody_works_on_comes_first_in_an_order_of_one_s_own(planned: Planned) -> None:
    make(planned, *UPSTREAM)
    rollouts = {request.key for request in planned.graph.of("rollout")}
    firsts = [Turns(RESULTS, planned.graph, Random(seed)).next() for seed in range(20)]
    assert {first.key for first in firsts if first} == rollouts
    turns, taken = Turns(RESULTS, planned.graph, Random(1)), []
    with ExitStack() as others:
        for _ in rollouts:
            request = turns.next()
            assert request is not None
            taken.append(request.key)
            others.enter_context(shared(stage_folder(RESULTS, "rollout", request.key).lock))
        assert sorted(taken) == sorted(rollouts)
        last = turns.next()
        assert last is not None  # where there is nothing else, one lends a hand
    assert last.key in rollouts


def test_what_one_has_found_sealed_no_other_looks_at(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    make(planned, *UPSTREAM, "rollout")
    one = Turns(RESULTS, planned.graph, Random(1))
    assert one.next() is None
    assert one.left("rollout") == 0
    assert one.next() is None  # tells what it has seen
    monkeypatch.setattr(turns_module, "sealed_done", lambda folder: pytest.fail(f"looked at {folder.path}"))
    other = Turns(RESULTS, planned.graph, Random(2))
    assert other.next() is None
    assert other.left("rollout") == 0


def test_two_helpers_finish_a_study_s_rollouts(planned: Planned, tmp_path: Path) -> None:
    make(planned, *UPSTREAM)
    helpers = [helper(tmp_path) for _ in range(2)]
    for process in helpers:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert output.endswith("no rollout is left\n")
    for request in planned.graph.of("rollout"):
        assert read_done(stage_folder(RESULTS, "rollout", request.key).done) is not None


def test_a_helper_shares_what_the_run_shares(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else it would make what another tree is at, or has sealed in the remote."""
    monkeypatch.setenv(SHARE_VARIABLE, "")  # set back to what it was, whatever `join` sets
    depot = tmp_path / "depot"
    depot.mkdir()
    make(planned, "policy")
    remember_place(RESULTS, Place("local", "local", share=str(depot)))
    share_of.cache_clear()
    try:
        assert join(RESULTS, Path("config.yaml"), 1) == 0
        assert f"join         shares {depot}, as the study was run last" in capsys.readouterr().out
        assert os.environ[SHARE_VARIABLE] == str(depot)
        make(planned, *UPSTREAM)
        assert join(RESULTS, Path("config.yaml"), 1) == 0
        pushed = {path.parent.name for path in depot.glob("rollout/*/DONE.json")}
        assert pushed == {request.key for request in planned.graph.of("rollout")}
    finally:
        share_of.cache_clear()


def test_one_that_fails_ends_the_help(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    make(planned, *UPSTREAM)
    monkeypatch.setenv(RUNNERS_VARIABLE, "support.fake_stages:UNROLLABLE")
    assert join(RESULTS, Path("config.yaml"), 1) == 1
