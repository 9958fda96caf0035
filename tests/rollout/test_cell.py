import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.toy_world import ToyPlanner, ToyWorld, toy_cell, toy_spec

from world_modality.errors import UserError
from world_modality.rollout.cell import run_cell
from world_modality.rollout.records import Journal, read_records
from world_modality.rollout.units import Unit, environment_seed, flow_seed, units_of
from world_modality.store.progress import Progress

TESTS = Path(__file__).parents[1]


def run(folder, spec, open_world=ToyWorld, planner=None, history=None, **facts):
    journal = Journal(folder / "records.jsonl")
    run_cell(toy_cell(spec, **facts), journal, open_world, planner or ToyPlanner(), history, Progress("toy"))
    return [dataclasses.replace(journal.done[unit], wall_s=0.0) for unit in units_of(spec)]


@pytest.mark.defect("B22")
def test_every_unit_gets_its_seeds_and_an_outcome(tmp_path):
    world, planner, spec = ToyWorld(), ToyPlanner(), toy_spec()
    records = run(tmp_path, spec, lambda: world, planner)
    assert {record.success for record in records} == {True, False}
    assert [entry for entry in world.log if entry[0] == "reset"] == [
        ("reset", unit.init_state, environment_seed("toy_suite", unit)) for unit in units_of(spec)
    ]
    assert planner.seeds == [
        flow_seed("toy_suite", record.unit, replan) for record in records for replan in range(record.replans)
    ]
    for record in records:
        assert record.steps <= spec.horizon
        assert record.replans == -(-record.steps // spec.n_action_steps)
        assert record.success or record.steps == spec.horizon
        assert record.episode_return == float(record.success)
        assert record.init_state_digest == f"{record.init_state:016x}"
    assert world.log[-1] == ("close",)


def test_actions_are_clipped_and_pictures_taken_at_replans_alone(tmp_path):
    world, spec = ToyWorld(), toy_spec(init_states=(3,), repeats=1)
    (record,) = run(tmp_path, spec, lambda: world)
    actions = np.array([entry[2] for entry in world.log if entry[0] == "step"])
    assert np.abs(actions).max() == 1.0
    renders = [entry[1:] for entry in world.log if entry[0] == "render"]
    assert renders == [(3 * replan, camera) for replan in range(record.replans) for camera in ("image", "image2")]


def test_two_arms_meet_the_same_scenes_and_noise(tmp_path):
    planners = [ToyPlanner(), ToyPlanner()]
    one = run(tmp_path / "a", toy_spec(), planner=planners[0])
    two = run(tmp_path / "b", toy_spec(memory="zero"), planner=planners[1], trained_memory="zero", checkpoint="d" * 16)
    for a, b in zip(one, two, strict=True):
        assert (a.environment_seed, a.flow_seed, a.init_state_digest) == (
            b.environment_seed,
            b.flow_seed,
            b.init_state_digest,
        )
        assert (a.success, a.steps) == (b.success, b.steps)
    assert planners[0].seeds == planners[1].seeds


def test_a_crashed_unit_runs_again_in_a_new_simulator(tmp_path):
    opened, crashes = [], [-1, 2, 0]

    def open_world():
        opened.append(ToyWorld(crashes=crashes))
        return opened[-1]

    records = run(tmp_path / "crashing", toy_spec(), open_world)
    clean = run(tmp_path / "clean", toy_spec())
    assert [record.attempts for record in records] == [1, 3, 1, 1, 1, 1]
    assert records[1].note.count("contact solver diverged") == 2
    assert [dataclasses.replace(record, attempts=1, note="") for record in records] == clean
    assert len(opened) == 3


def test_three_crashes_of_one_unit_stop_the_cell_and_name_it(tmp_path):
    crashes = [-1, 1, 1, 1]
    with pytest.raises(UserError, match="crashed 3 times on toy_suite task 1, init state 3, repeat 1"):
        run(tmp_path, toy_spec(), lambda: ToyWorld(crashes=crashes))
    assert [record.unit for record in read_records(tmp_path / "records.jsonl")] == [Unit(1, 3, 0)]


def test_a_simulator_that_does_not_start_is_a_crash_too(tmp_path):
    def broken():
        raise RuntimeError("no display")

    with pytest.raises(UserError, match="no display"):
        run(tmp_path, toy_spec(), broken)


def test_a_finished_cell_opens_no_simulator(tmp_path):
    run(tmp_path, toy_spec())
    run(tmp_path, toy_spec(), lambda: pytest.fail("a simulator was opened"))


@pytest.mark.parametrize(("bad", "message"), [(np.nan, "not finite"), (np.zeros((2, 7)), "chunk of 2 actions")])
def test_a_policy_without_usable_actions_is_not_a_failed_unit(tmp_path, bad, message):
    class Broken(ToyPlanner):
        def predict(self, observation, task, seed, world_history=None):
            return bad if isinstance(bad, np.ndarray) else np.full((5, 7), bad, np.float32)

    with pytest.raises(UserError, match=message):
        run(tmp_path, toy_spec(), planner=Broken())
    assert not (tmp_path / "records.jsonl").read_text()


def test_progress_tells_units_and_successes(tmp_path, capsys):
    journal = Journal(tmp_path / "records.jsonl")
    run_cell(toy_cell(toy_spec()), journal, ToyWorld, ToyPlanner(), None, Progress("rollout E2/0 task 1"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("rollout E2/0 task 1")
    assert "0/6 units  0 successes" in lines[0]
    assert "6/6 units" in lines[-1]


def test_kill_9_loses_no_finished_unit_and_doubles_none(tmp_path):
    """A real process, killed at random moments until it is done."""
    rng, seen, kills = random.Random(11), b"", 0
    path = tmp_path / "work" / "records.jsonl"
    command = [sys.executable, str(TESTS / "support" / "toy_world.py"), str(tmp_path), "0.01"]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    for _ in range(60):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        started = path.read_bytes() if path.exists() else b""
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if path.exists() and len(path.read_bytes()) > len(started):  # let each attempt finish a unit at least
                time.sleep(rng.uniform(0, 0.25))
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        now = path.read_bytes()
        whole = seen[: seen.rfind(b"\n") + 1]
        assert now.startswith(whole)
        seen = now
        if process.returncode == 0:
            break
    assert kills >= 2
    records = read_records(tmp_path / "artifact" / "records.jsonl")
    assert [record.unit for record in records] == list(units_of(toy_spec()))
    assert [dataclasses.replace(record, wall_s=0.0) for record in records] == run(tmp_path / "calm", toy_spec())
