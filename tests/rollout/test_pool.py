"""Simulator processes that die, hang and are replaced."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.toy_world import ToyPolicy, ToyWorld, roll, toy_spec

from world_modality.errors import UserError
from world_modality.rollout.pool import Pool

PRELOAD = ["world_modality.rollout.scheduler"]


class Once:
    """Opens simulators of which one misbehaves at its third control step, the first that finds ``marker`` absent."""

    def __init__(self, marker: Path, how: str) -> None:
        self.marker, self.how = marker, how

    def __call__(self, task):
        return Misbehaving(self.marker, self.how)


class Misbehaving(ToyWorld):
    def __init__(self, marker, how):
        super().__init__()
        self.marker, self.how = marker, how

    def step(self, action):
        if self.steps == 2 and (self.how.startswith("always") or self.first()):
            if self.how.endswith("aborts"):
                os.abort()
            time.sleep(600)
        return super().step(action)

    def first(self):
        try:
            self.marker.touch(exist_ok=False)  # one process alone
        except FileExistsError:
            return False
        return True


@pytest.mark.parametrize("how", ["aborts", "hangs"])
def test_an_episode_whose_simulator_dies_or_hangs_runs_again(tmp_path, how):
    pool = Pool(Once(tmp_path / "marker", how), 2, 2.0, PRELOAD)
    records = roll(tmp_path / "many", toy_spec(), pool, ToyPolicy(batch=2), slots=4)
    assert sorted(record.timing.attempts for record in records) == [1, 1, 1, 1, 1, 2]
    (note,) = (record.timing.crashes for record in records if record.timing.crashes)
    assert ("exit code -6" if how == "aborts" else "no sign for") in note
    clean = roll(tmp_path / "clean", toy_spec())
    assert records == clean


def test_an_episode_that_always_aborts_is_named_and_its_neighbours_are_not_blamed(tmp_path):
    pool = Pool(Once(tmp_path / "marker", "always aborts"), 1, 60.0, PRELOAD)
    with pytest.raises(UserError, match="crashed 3 times on toy_suite task 1, init state 3, repeat 0"):
        roll(tmp_path, toy_spec(), pool, ToyPolicy(batch=3), slots=3)


def test_no_simulator_process_outlives_the_pool(tmp_path):
    pool = Pool(ToyWorld.opened, 2, 60.0, PRELOAD)
    processes = [each.process for each in pool._processes]
    roll(tmp_path, toy_spec(), pool, slots=2)
    assert not any(process.is_alive() for process in processes)


def test_simulator_processes_import_nothing_that_only_the_policy_needs():
    """Each would take seconds and a gigabyte more."""
    code = "import sys, world_modality.rollout.pool; print([n for n in ('torch', 'lerobot') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


class Fragile(ToyWorld):
    """Once it ``raises`` in the middle of an episode, or reaches a goal, its process aborts in the next episode's
    steps."""

    doomed = False

    def __init__(self, marker, how):
        super().__init__()
        self.marker, self.how = marker, how

    def step(self, action):
        if Fragile.doomed:
            os.abort()
        if self.how == "raises" and self.steps == 2 and self.first():
            raise RuntimeError("contact solver diverged")
        reached = super().step(action)
        if self.how == "reaches" and reached.success:
            self.first()
        return reached

    def first(self):
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        Fragile.doomed = True
        return True


class Fragiles:
    def __init__(self, marker, how):
        self.marker, self.how = marker, how

    def __call__(self, task):
        return Fragile(self.marker, self.how)


class SlowPolicy(ToyPolicy):
    def infer(self, requests):
        time.sleep(0.25)  # meanwhile the process answers and dies
        return super().infer(requests)


@pytest.mark.parametrize("how", ["raises", "reaches"])
def test_a_process_that_answers_and_then_dies_before_anybody_listens(tmp_path, how):
    pool = Pool(Fragiles(tmp_path / "marker", how), 1, 60.0, PRELOAD)
    records = roll(tmp_path / "fragile", toy_spec(), pool, SlowPolicy(batch=2), slots=6)
    assert max(record.timing.attempts for record in records) > 1
    clean = roll(tmp_path / "clean", toy_spec())
    assert records == clean
