"""Helpers by the dozen on one results folder that is far away: real leases, records and turns, simulated machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.far_files import ROOT, Server
from support.many_workers import World
from support.many_workers_figures import Plan
from support.mounted import mounted
from support.virtual_time import Clock, Machine

from world_modality.rollout.records import Ledger
from world_modality.store.leases import Leases

CALM = {"die": 0.0, "freeze_per_h": 0.0, "deaf_per_h": 0.0}
ROUGH = {"die": 0.2, "freeze_per_h": 2.0, "deaf_per_h": 2.0}
LONGEST_S = 300.0  # without an episode, while there is one to begin: a lease's silence and a few looks


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_every_episode_has_one_record_and_nobody_waits(seed: int) -> None:
    """A worker that froze or was not heard repeats at most what was in its hands."""
    world = World(Plan(8, 300, start_s=30, seed=seed, **ROUGH))
    found = world.run()
    assert found.lost == 0
    assert found.duplicates <= world.plan.slots * found.harmed
    assert max(found.idle_s.values()) < LONGEST_S


def test_more_workers_than_stages_share_them() -> None:
    world = World(Plan(24, 600, seed=5, **ROUGH))
    found = world.run()
    assert found.lost == 0
    assert found.duplicates <= world.plan.slots * found.harmed
    assert min(found.shares.values()) > 0
    assert max(found.idle_s.values()) < LONGEST_S


@pytest.mark.parametrize("stale_s", [0.0, 60.0])
def test_without_faults_no_episode_is_played_twice(stale_s: float) -> None:
    found = World(Plan(16, 400, stale_s=stale_s, **CALM)).run()
    assert (found.duplicates, found.lost) == (0, 0)


def test_the_same_seed_is_the_same_course_of_events() -> None:
    one, other = (World(Plan(4, 100, seed=7, **ROUGH)).run() for _ in range(2))
    assert one.figures() == other.figures()
    assert one.operations == other.operations


@pytest.mark.slow
def test_a_takeover_that_waits_for_no_silence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes are played twice, or two take the last ones from each other for ever."""
    monkeypatch.setattr(Leases, "_abandoned", lambda *_, **__: True)
    world = World(Plan(4, 50, **CALM))
    try:
        duplicates = world.run().duplicates
    except AssertionError as error:
        assert "a worker waits for ever" in str(error)  # noqa: PT017 - one of two that are right
    else:
        assert duplicates > 5


def test_a_listing_that_is_trusted_when_a_lease_is_let_go_of_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others learn of a newcomer's records only after a while: a lease that is free at once is taken in between."""
    monkeypatch.setattr(Leases, "leave", Leases.release)
    assert World(Plan(16, 400, stale_s=60.0, **CALM)).run().duplicates > 0


def test_records_that_are_looked_for_in_a_new_folder_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a helper makes the folder anew that was removed once the stage was sealed."""
    opened = Ledger.__init__

    def anew(ledger: Ledger, folder: Path, *given: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        opened(ledger, folder, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "__init__", anew)
    assert World(Plan(16, 400, **CALM)).run().duplicates > 0


def test_machines_see_what_others_do_late_and_links_at_once() -> None:
    clock = Clock()
    folder, seen = Path(ROOT) / "folder", []

    def one() -> None:
        folder.mkdir()
        clock.sleep(10)
        (folder / "a").write_text("a")
        os.link(folder / "a", folder / "b")

    def other() -> None:
        clock.sleep(5)
        for _ in range(2):
            seen.append((sorted(path.name for path in folder.iterdir()), (folder / "b").exists()))
            clock.sleep(10)
        with pytest.raises(FileExistsError):
            os.link(folder / "a", folder / "b")
        seen.append((sorted(path.name for path in folder.iterdir()), (folder / "b").read_text()))

    server = Server(clock, stale_s=60.0)
    with mounted(server):
        for name, work in (("one", one), ("other", other)):
            clock.start(work, Machine(name))
        clock.run()
    assert seen == [([], False), ([], False), (["a", "b"], "a")]
    assert 25 < clock.now < 26
