"""A stage tells of all machines that worked on it, however many began it, lent a hand or went on with it."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.small_trees import request_of, sealed
from support.store_process import request

from world_modality.report.rounding import rounding_gate
from world_modality.store import machines, seal
from world_modality.store.done import read_done, read_run
from world_modality.store.execute import execute
from world_modality.store.layout import StageFolder, stage_folder
from world_modality.store.machines import Witness, apart, read_machines
from world_modality.store.stage import Facts, StageContext
from world_modality.trees.remote import open_remote
from world_modality.trees.unfinished import pull_unfinished, push_unfinished

ONE = {"processor": "AMD EPYC 7B13", "capability": {"torch": "AVX2", "numpy": ["AVX2", "FMA3"]}}
OTHER = {"processor": "AMD EPYC 9B14", "capability": {"torch": "AVX512", "numpy": ["AVX2", "AVX512F", "FMA3"]}}
here = threading.local()


@pytest.fixture(autouse=True)
def many_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread is on the machine that it says."""
    monkeypatch.setattr(machines, "here", lambda loaded: here.machine)
    monkeypatch.setattr(seal, "machine", lambda: {"host": "somewhere", **here.machine})


def work(root: Path, machine: dict[str, Any], runner: Any, arithmetic: str = "native", *, shared: bool = False) -> str:
    here.machine, heard = machine, io.StringIO()
    with contextlib.suppress(KeyboardInterrupt):
        execute(root, request_of(1, arithmetic), runner, cores=1, stream=heard, shared=shared)
    return heard.getvalue()


def train(steps: int, context: StageContext) -> Facts:
    """Half of it, and then it is stopped; or the rest."""
    (context.work / "step").write_text(f"{steps}")
    context.progress.update(steps, 2, "steps")
    if steps < 2:
        raise KeyboardInterrupt
    (context.artifact / "weights").write_text("trained")
    return {}


def half(spec: Any, context: StageContext) -> Facts:
    return train(1, context)


def rest(spec: Any, context: StageContext) -> Facts:
    return train(2, context)


def folder_of(root: Path, arithmetic: str = "native") -> StageFolder:
    return stage_folder(root, "encoder", request_of(1, arithmetic).key)


@pytest.mark.parametrize(("arithmetic", "passed"), [("native", False), ("portable", True)])
@pytest.mark.parametrize("copied", [False, True])
def test_a_training_that_goes_on_on_another_machine(
    tmp_path: Path, arithmetic: str, passed: bool, copied: bool
) -> None:
    one, two, depot = tmp_path / "one", tmp_path / ("two" if copied else "one"), tmp_path / "depot"
    assert "rounds otherwise" not in work(one, ONE, half, arithmetic)
    key = request_of(1, arithmetic).key
    if copied:
        depot.mkdir()
        remote = open_remote(str(depot))
        assert push_unfinished(remote, one, "encoder", key, {}, lambda _: None)
        assert pull_unfinished(remote, two, "encoder", key, lambda _: None)
    told = work(two, OTHER, rest, arithmetic)
    assert ("was worked on by a machine that rounds otherwise (torch)" in told) is not passed
    folder = folder_of(two, arithmetic)
    run = read_run(folder.run)
    assert run is not None
    assert run.others == (ONE,)
    assert not folder.machines.exists()
    gate = rounding_gate(two, sealed(two).values())
    assert gate.passed is passed
    if not passed:
        assert gate.detail.startswith("the machines that worked on encoder 1 differ in torch (AVX512 / AVX2); make the")


def test_the_same_machine_again_is_told_once_and_the_record_knows_nothing_of_it(tmp_path: Path) -> None:
    for root, first in ((tmp_path / "one", ONE), (tmp_path / "two", OTHER)):
        work(root, first, half)
        assert "rounds otherwise" not in work(root, first, half)
        work(root, ONE, rest)
    runs = [read_run(folder_of(tmp_path / name).run) for name in ("one", "two")]
    assert [len(run.others) for run in runs if run] == [0, 1]
    one, two = (folder_of(tmp_path / name).done.read_bytes() for name in ("one", "two"))
    assert one == two
    assert rounding_gate(tmp_path / "one", sealed(tmp_path / "one").values()).passed


def test_a_rollout_that_two_share(tmp_path: Path) -> None:
    """Whoever lends a hand starts nothing and seals nothing, and is told of all the same."""
    joined, done = threading.Event(), threading.Event()

    def helps(spec: Any, context: StageContext) -> Facts:
        context.progress.update(1, 2, "episodes")
        joined.set()
        assert done.wait(30)
        return {}

    def seals(spec: Any, context: StageContext) -> Facts:
        helper.start()
        assert joined.wait(30)
        context.begin_sealing()
        (context.artifact / "records.jsonl").write_text("2 episodes\n")
        return {}

    helper = threading.Thread(target=work, args=(tmp_path, OTHER, helps), kwargs={"shared": True})
    work(tmp_path, ONE, seals, shared=True)
    done.set()
    helper.join(30)
    folder = folder_of(tmp_path)
    run, record = read_run(folder.run), read_done(folder.done)
    assert run is not None
    assert record is not None
    assert run.attempts == 1
    assert (run.machine["processor"], run.others) == (ONE["processor"], (OTHER,))
    assert rounding_gate(tmp_path, [record]).passed is False


def test_it_looks_anew_only_when_a_library_has_been_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[bool, ...]] = []
    monkeypatch.setattr(machines, "here", lambda loaded: looks.append(loaded) or ONE)
    witness = Witness(tmp_path / "machines")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    witness()
    witness()
    assert len(looks) == 1
    monkeypatch.setitem(sys.modules, "torch", sys)  # half imported: it has no cuda yet
    witness()
    assert [seen[1:] for seen in looks] == [(False, False), (True, False)]
    assert read_machines(tmp_path / "machines") == (ONE,)


def test_machines_of_which_less_is_known_are_not_apart() -> None:
    unknown = {"processor": "AMD EPYC 9B14", "capability": {}}
    assert apart([ONE, unknown]) == apart([ONE, {}]) == apart([]) == ""
    assert apart([ONE, OTHER]) == "torch"


def test_hours_of_gpus_reach_the_run(tmp_path: Path) -> None:
    here.machine = ONE

    def write(spec: Any, context: StageContext) -> Facts:
        (context.artifact / "result").touch()
        return {}

    execute(tmp_path, request(), write, cores=1, gpus=8, stream=io.StringIO())
    run = read_run(stage_folder(tmp_path, "policy", request().key).run)
    assert run is not None
    assert run.gpu_seconds == pytest.approx(8 * run.wall_seconds, abs=0.01)
