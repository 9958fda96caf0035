"""Rollouts of a policy behind a socket: as in this process, and whole whatever happens to its server."""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from stand_ins import STAND_INS
from support.other_policies import SIZE
from support.pictures import see_pictures_of
from support.policy_servers import Running, openpi, served
from support.tiny_checkpoints import plain_checkpoint
from support.toy_world import SUITE, InlinePool, ToyPolicy, ToyWorld, roll, toy_spec
from typer.testing import CliRunner

from world_modality.cli.main import app
from world_modality.errors import UserError
from world_modality.policies import remote
from world_modality.policies.contract import PolicyLost
from world_modality.policies.remote import ServedPolicy
from world_modality.rollout.choice import Choice
from world_modality.rollout.episodes import episodes_of, flow_seed
from world_modality.rollout.evaluate import evaluate
from world_modality.rollout.evaluation import How, Scenes, VideoChoice
from world_modality.rollout.pool import Pool
from world_modality.rollout.records import OWN_NOISE, Ledger, read_records
from world_modality.rollout.trajectory import Trajectory
from world_modality.rollout.video import _require_same_trajectory, video_name
from world_modality.study.parts import RemotePolicy


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSES", (0.05,))
    monkeypatch.setattr(remote, "PAUSES", (0.1,) * 50)


class Reviver:
    """Starts a server again whenever it has died, every time to live longer."""

    def __init__(self, server: Running, life: int) -> None:
        self.server, self.life, self.deaths, self._over = server, life, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Reviver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            if self.server.process.poll() is not None:
                self.deaths += 1
                self.server.wait()
                self.server.start(AT=str(self.life * (1 + self.deaths)))


class Mortal(ToyPolicy):
    """A policy that is lost at some of its calls, and another one, which plans the same, from then on."""

    def __init__(self, lost_at: set[int], batch: int, pause: float) -> None:
        super().__init__(batch=batch)
        self.pause = pause
        self.lost_at, self.calls, self.life, self.planned_in = lost_at, 0, 0, {}

    def infer(self, requests):
        self.calls += 1
        time.sleep(self.pause)
        if self.calls in self.lost_at:
            self.life += 1
            raise PolicyLost(f"life {self.life} begins")
        self.planned_in |= {request.noise_seed: self.life for request in requests}
        return super().infer(requests)


def test_the_same_records_through_the_socket(tmp_path: Path) -> None:
    spec = toy_spec()
    with (
        served("scripted_policy") as server,
        ServedPolicy(RemotePolicy(source="remote", address=server.address), batch=3) as policy,
    ):
        records = roll(tmp_path / "served", spec, planner=policy, slots=4)
    assert records == roll(tmp_path / "here", spec, planner=ToyPolicy(batch=3), slots=4)
    assert {record.timing.attempts for record in records} == {1}


def test_a_server_that_is_killed_with_kill_9_in_the_middle_costs_no_episode_and_no_bit(tmp_path: Path) -> None:
    spec = toy_spec()
    with (
        served("scripted_policy", FAULT="killed", AT="4") as server,
        Reviver(server, life=4) as reviver,
        ServedPolicy(RemotePolicy(source="remote", address=server.address)) as policy,
    ):
        records = roll(tmp_path / "served", spec, planner=policy)
        deaths = reviver.deaths
    assert deaths >= 1
    assert records == roll(tmp_path / "here", spec)
    again = [record for record in records if record.timing.attempts > 1]
    assert again
    assert all("the policy's server went away" in record.timing.crashes for record in again)


def test_a_server_that_dies_whenever_it_is_asked_stops_the_cell_and_names_the_episode(tmp_path: Path) -> None:
    with (
        served("scripted_policy", FAULT="killed", AT="1") as server,
        Reviver(server, life=0),
        ServedPolicy(RemotePolicy(source="remote", address=server.address)) as policy,
        pytest.raises(UserError, match=r"the policy was lost 3 times on toy_suite task 1, init state 3, repeat 0"),
    ):
        roll(tmp_path, toy_spec(), planner=policy)
    assert not Ledger(tmp_path / "ledger", episodes_of(toy_spec())).done


def test_a_policy_of_too_few_numbers_is_no_failed_episode(tmp_path: Path) -> None:
    named = {"dialect": "openpi", "name": "pi0", "revision": "1"}
    with (
        openpi(WIDTH="6") as server,
        ServedPolicy(RemotePolicy(source="remote", address=server.address, **named)) as policy,
        pytest.raises(UserError, match=r"a chunk of shape \[10, 6\] .* toy_suite, which have 7 numbers \(move_0"),
    ):
        roll(tmp_path, toy_spec(), planner=policy)


@pytest.mark.parametrize(("workers", "batch"), [(1, 1), (1, 3), (2, 1)])
def test_no_episode_is_planned_by_two_lives_of_a_policy(tmp_path: Path, workers: int, batch: int) -> None:
    """Some are simulated when it is lost, some are about to end, and with more processes some wait for an answer."""
    spec, rng = toy_spec(init_states=(7, 3, 5, 1)), random.Random(batch)
    calm = roll(tmp_path / "calm", spec)
    for number in range(4 if workers == 1 else 2):
        policy = Mortal(set(rng.sample(range(5, 25 // batch), 2)), batch, 0.03 if workers > 1 else 0.0)
        pool = InlinePool(lambda _task: ToyWorld()) if workers == 1 else Pool(ToyWorld.opened, workers, 60.0)
        records = roll(tmp_path / str(number), spec, pool, policy, slots=4)
        assert records == calm
        assert policy.life >= 1
        for record in records:
            seeds = [flow_seed("toy_suite", record.episode, replan) for replan in range(record.replans)]
            assert len({policy.planned_in[seed] for seed in seeds}) == 1


def test_records_of_a_policy_that_draws_its_own_noise_say_so(tmp_path: Path) -> None:
    with (
        served("scripted_policy", FAULT="unseeded") as server,
        ServedPolicy(RemotePolicy(source="remote", address=server.address)) as policy,
    ):
        records = roll(tmp_path, toy_spec(), planner=policy, seeded=policy.facts.seeded)
    assert {(record.flow_seed, record.note) for record in records} == {(None, OWN_NOISE)}
    assert read_records(tmp_path / "artifact" / "records.jsonl") == tuple(records)
    other = Trajectory(0, records[0].episode, 0, SUITE, 3, 20, 0, None, 0.0)
    with pytest.raises(UserError, match=r"than the recorded one .*: its policy draws its own noise"):
        _require_same_trajectory(records[0], other)


@pytest.mark.slow
def test_wm_rollout_of_a_server_is_the_rollout_of_its_checkpoint(tmp_path: Path) -> None:
    """LIBERO's simulators, a real server, a video: outcomes and trajectories as in one process."""
    folder = plain_checkpoint(tmp_path / "plain")
    see_pictures_of(folder, SIZE)
    how = How(
        policy=str(folder),
        memory=None,
        encoder=None,
        n_action_steps=4,
        num_steps=1,
        horizon=9,
        batch=2,
        assets=str(STAND_INS),
        render="fast",
        settle_steps=1,
    )
    scenes = Scenes(("libero_spatial",), (0,), 2, (30, 31))
    here = evaluate(how, scenes, tmp_path / "here", 1, VideoChoice(Choice(), ()))
    with served("served_smolvla", CHECKPOINT=str(folder), BATCH="2") as server:
        flags = {"policy.path": server.address, "output": tmp_path / "there", "tasks": 0, "episodes": 2}
        flags |= {"init-states": "30,31", "n-action-steps": 4, "horizon": 9, "batch": 2, "assets": str(STAND_INS)}
        flags |= {"render": "fast", "settle-steps": 1, "videos": "first=1", "cores": 1}
        command = ["rollout", *(f"--{name}={value}" for name, value in flags.items())]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        renamed = CliRunner().invoke(app, [*command, "--policy.rename=image=image2,image2=image"])
        assert "whose rename image is None, not image2: choose another --output" in str(renamed.exception)
        strange = CliRunner().invoke(app, [*command, "--policy.rename=front=image"])
        assert "is to see front, but libero_spatial shows image, image2: rename one" in str(strange.exception)
        misspelt = CliRunner().invoke(app, [*command, "--policy.rename=image=front"])
        assert "it has no camera front to rename one to, only image, image2" in str(misspelt.exception)
    assert result.exit_code == 0
    there = read_records(tmp_path / "there" / "libero_spatial.jsonl")
    assert [replace(record, device="cpu") for record in there] == list(here)
    assert {record.device for record in there} == {"remote cpu"}
    assert (tmp_path / "there" / "videos" / "libero_spatial" / video_name(there[0])).is_file()
    noted = json.loads((tmp_path / "there" / "libero_spatial" / "evaluation.json").read_text())
    assert noted["dialect"] == "world_modality"
    assert str(server.port) not in json.dumps(noted)
