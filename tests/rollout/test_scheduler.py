"""Episodes, seeds, batches and crashes, on a simulator and a policy of a few lines."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.toy_world import InlinePool, ToyPolicy, ToyWorld, roll, toy_spec

from world_modality.errors import UserError
from world_modality.rollout.episodes import Episode, environment_seed, episodes_of, flow_seed
from world_modality.rollout.pool import Pool
from world_modality.rollout.records import Ledger, read_records
from world_modality.store.progress import Progress

TESTS = Path(__file__).parents[1]


def watched(log):
    """A simulator that writes to ``log``; all of a rollout's share it."""

    def open_world(_task):
        world = ToyWorld()
        world.log = log
        return world

    return open_world


@pytest.mark.defect("B22")
def test_every_episode_gets_its_seeds_and_an_outcome(tmp_path):
    log, planner, spec = [], ToyPolicy(), toy_spec()
    records = roll(tmp_path, spec, InlinePool(watched(log)), planner)
    assert {record.success for record in records} == {True, False}
    assert [entry for entry in log if entry[0] == "reset"] == [
        ("reset", episode.init_state, environment_seed("toy_suite", episode)) for episode in episodes_of(spec)
    ]
    assert [request.noise_seed for request in planner.requests] == [
        flow_seed("toy_suite", record.episode, replan) for record in records for replan in range(record.replans)
    ]
    for record in records:
        assert record.steps <= spec.horizon
        assert record.replans == -(-record.steps // spec.n_action_steps)
        assert record.success or record.steps == spec.horizon
        assert record.episode_return == float(record.success)
        assert record.init_state_digest == f"{record.init_state:016x}"
    assert log[-1] == ("close",)


def test_actions_are_clipped_and_pictures_taken_at_replans_alone(tmp_path):
    log, spec = [], toy_spec(init_states=(3,), repeats=1)
    (record,) = roll(tmp_path, spec, InlinePool(watched(log)))
    actions = np.array([entry[2] for entry in log if entry[0] == "step"])
    assert np.abs(actions).max() == 1.0
    renders = [entry[1:] for entry in log if entry[0] == "render"]
    assert renders == [(3 * replan, camera) for replan in range(record.replans) for camera in ("image", "image2")]


def test_two_arms_meet_the_same_scenes_and_noise(tmp_path):
    planners = [ToyPolicy(), ToyPolicy()]
    one = roll(tmp_path / "a", toy_spec(), planner=planners[0])
    two = roll(tmp_path / "b", toy_spec(memory="zero"), planner=planners[1], trained_memory="zero", checkpoint="d" * 16)
    for a, b in zip(one, two, strict=True):
        assert (a.environment_seed, a.flow_seed, a.init_state_digest) == (
            b.environment_seed,
            b.flow_seed,
            b.init_state_digest,
        )
        assert (a.success, a.steps) == (b.success, b.steps)
    assert [q.noise_seed for q in planners[0].requests] == [q.noise_seed for q in planners[1].requests]


@pytest.mark.parametrize(("workers", "slots_each", "batch"), [(1, 1, 1), (1, 4, 3), (4, 1, 2), (2, 3, 8)])
def test_outcomes_do_not_depend_on_who_works_and_who_waits_together(tmp_path, workers, slots_each, batch):
    spec, planner = toy_spec(), ToyPolicy(batch=batch)
    pool = Pool(ToyWorld.opened, workers, 60.0, "world_modality.rollout.scheduler")
    records = roll(tmp_path / "many", spec, pool, planner, slots=workers * slots_each)
    assert records == roll(tmp_path / "one", spec)
    assert len(planner.requests) == sum(record.replans for record in records)


def test_full_batches_are_waited_for_as_long_as_every_simulator_is_busy(tmp_path):
    planner = ToyPolicy(batch=3)
    roll(tmp_path, toy_spec(), planner=planner, slots=6)
    sizes = [len(batch) for batch in planner.asked]
    assert sizes[0] == 3  # six wait, three at a time
    assert max(sizes) == 3


def test_a_crashed_episode_runs_again_in_a_new_simulator(tmp_path):
    opened, crashes = [], [-1, 2, 0]

    def open_world(_task):
        opened.append(ToyWorld(crashes=crashes))
        return opened[-1]

    records = roll(tmp_path / "crashing", toy_spec(), InlinePool(open_world))
    clean = roll(tmp_path / "clean", toy_spec())
    assert [record.timing.attempts for record in records] == [1, 3, 1, 1, 1, 1]
    assert records[1].timing.crashes.count("contact solver diverged") == 2
    assert records == clean
    assert len(opened) == 3


def test_three_crashes_of_one_episode_stop_the_cell_and_name_it(tmp_path):
    crashes = [-1, 1, 1, 1]
    with pytest.raises(UserError, match="crashed 3 times on toy_suite task 1, init state 3, repeat 1"):
        roll(tmp_path, toy_spec(), InlinePool(lambda _task: ToyWorld(crashes=crashes)))
    assert list(Ledger(tmp_path / "ledger", episodes_of(toy_spec())).done) == [Episode(1, 3, 0)]


def test_a_simulator_that_does_not_start_is_a_crash_too(tmp_path):
    def broken(_task):
        raise RuntimeError("no display")

    with pytest.raises(UserError, match="no display"):
        roll(tmp_path, toy_spec(), InlinePool(broken))


def test_what_the_simulator_refuses_is_told_at_once(tmp_path):
    def refusing(_task):
        raise UserError("simulator.suite: no such suite")

    with pytest.raises(UserError, match="no such suite"):
        roll(tmp_path, toy_spec(), InlinePool(refusing))


def test_a_finished_cell_opens_no_simulator(tmp_path):
    roll(tmp_path, toy_spec())
    roll(tmp_path, toy_spec(), InlinePool(lambda _task: pytest.fail("a simulator was opened")))


@pytest.mark.parametrize(("bad", "message"), [(np.nan, "not finite"), (np.zeros((2, 7)), "chunk of 2 actions")])
def test_a_policy_without_usable_actions_is_not_a_failed_episode(tmp_path, bad, message):
    class Broken(ToyPolicy):
        def chunk(self, request):
            return bad if isinstance(bad, np.ndarray) else np.full((5, 7), bad, np.float32)

    with pytest.raises(UserError, match=message):
        roll(tmp_path, toy_spec(), planner=Broken())
    assert not Ledger(tmp_path / "ledger", episodes_of(toy_spec())).done


def test_progress_tells_episodes_and_successes(tmp_path):
    stream = io.StringIO()
    roll(tmp_path, toy_spec(), progress=Progress("rollout E2/0 task 1", stream=stream))
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("rollout E2/0 task 1")
    assert "0/6 episodes" in lines[0]
    assert "6/6 episodes" in lines[-1]
    assert "episodes/h" in lines[-1]


def test_kill_9_loses_no_finished_episode_and_doubles_none(tmp_path):
    """A real process with real simulator processes, killed at random moments until it is done."""
    assert kill_until_done(tmp_path, {}, most=60, owners=1) >= 2


def test_an_owner_that_is_stopped_loses_its_episodes_and_does_no_harm_when_it_goes_on(tmp_path):
    """SIGSTOP: alive, but nothing of it moves. Others finish its episodes; later it finds that out before it
    records."""
    changes, ledger = {"init_states": list(range(8))}, tmp_path / "ledger"
    spec = toy_spec(init_states=tuple(range(8)))
    stopped = start(tmp_path, changes, silence=1.0)
    wait_for(ledger, 2, [stopped])
    stopped.send_signal(signal.SIGSTOP)
    assert len(written(ledger)) < len(episodes_of(spec))
    other = start(tmp_path, changes, silence=1.0)
    assert other.wait(60) == 0
    before = written(ledger)
    assert sorted(before) == [(episode.task, episode.init_state, episode.repeat) for episode in episodes_of(spec)]
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(60) == 0
    assert sorted(written(ledger)) == sorted(before)
    records = read_records(tmp_path / "artifact" / "records.jsonl")
    assert list(records) == roll(tmp_path / "calm", spec)
    assert not list((ledger / "leases").glob("*.lease"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills_of_two_owners_that_share_a_cell(tmp_path):
    assert kill_until_done(tmp_path, {"init_states": list(range(50)), "repeats": 5}, most=400, owners=2) >= 100


def kill_until_done(folder, changes, most, owners):
    """Kills that it took; afterwards no episode is missing, doubled or other than in an undisturbed run."""
    rng, kills, ledger = random.Random(11), 0, folder / "ledger"
    spec = toy_spec(**{name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()})
    seen: dict[str, bytes] = {}
    ended = False
    while not ended and kills < most:
        running = [start(folder, changes) for _ in range(owners)]
        wait_for(ledger, len(written(ledger)) + 1, running)
        time.sleep(rng.uniform(0, 0.2))
        for process in running:
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
            ended |= process.returncode == 0
        now = {path.name: path.read_bytes() for path in ledger.glob("records-*.jsonl")}
        for name, content in seen.items():
            assert now[name].startswith(content[: content.rfind(b"\n") + 1])
        seen = now
    assert ended
    assert len(written(ledger)) == len(set(written(ledger))) == len(episodes_of(spec))
    records = read_records(folder / "artifact" / "records.jsonl")
    assert [record.episode for record in records] == list(episodes_of(spec))
    assert list(records) == roll(folder / "calm", spec)
    return kills


def start(folder, changes, silence=120.0):
    """A process that rolls the toy's cell out; its leases run out after so many seconds of silence."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    command = [sys.executable, str(TESTS / "support" / "toy_world.py"), str(folder), json.dumps(changes)]
    command.append(str(silence))
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def wait_for(ledger, episodes, running):
    """Until so many episodes are written, everybody has ended, or a minute has passed."""
    deadline = time.monotonic() + 60
    while len(written(ledger)) < episodes and time.monotonic() < deadline:
        if all(process.poll() is not None for process in running):
            return
        time.sleep(0.005)


def written(ledger):
    """The episodes of all whole lines in the ledger."""
    if not ledger.is_dir():
        return []
    lines = [line for path in ledger.glob("records-*.jsonl") for line in path.read_text().splitlines(keepends=True)]
    records = [json.loads(line.rpartition("\t")[0]) for line in lines if line.endswith("\n")]
    return [(record["task"], record["init_state"], record["repeat"]) for record in records]
