"""Claims in a remote: one of many has a stage, and nobody has it for longer than he lives."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from world_modality.trees.claims import Claims, Turn
from world_modality.trees.names import CLAIMS
from world_modality.trees.remote import SharedRemote, open_shared

STAGE, KEY = "train", "0123456789abcdef"
NAME = f"{CLAIMS}/{STAGE}/{KEY}"


@pytest.fixture
def shared(depot: str) -> SharedRemote:
    return open_shared(depot)


def claims_of(shared: SharedRemote, root: Path, **times: float) -> Claims:
    root.mkdir(exist_ok=True)
    return Claims(shared, root, **times)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def from_elsewhere(shared: SharedRemote) -> None:
    """Make the claim one of a machine whose processes cannot be looked up from here."""
    note = json.loads(shared.read(NAME) or b"")
    shared.write(NAME, json.dumps(note | {"place": "elsewhere", "host": "a-machine"}).encode())


def test_of_many_one_has_it(shared: SharedRemote, tmp_path: Path) -> None:
    many = [claims_of(shared, tmp_path / str(number), beat_s=1e6) for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        turns = list(threads.map(lambda claims: claims.claim(STAGE, KEY), many))
    assert sorted(turn.name for turn in turns) == ["OURS", *["THEIRS"] * 5]
    holder = many[turns.index(Turn.OURS)]
    assert holder.claim(STAGE, KEY) is Turn.OURS
    assert many[0].holder(STAGE, KEY).startswith(f"process {os.getpid()} on ")
    assert many[0].claimed(STAGE) == {KEY}
    holder.release(STAGE, KEY)
    assert many[0].claim(STAGE, KEY) is Turn.OURS


def test_of_many_who_take_over_one_has_it(shared: SharedRemote) -> None:
    dead, takers = b'{"owner": "silent"}', [f"taker {number}".encode() for number in range(6)]
    shared.create(NAME, dead)
    with ThreadPoolExecutor(6) as threads:
        swapped = list(threads.map(lambda taker: shared.swap(NAME, dead, taker), takers))
    assert sum(swapped) == 1
    assert shared.read(NAME) == takers[swapped.index(True)]


def test_another_process_of_the_same_tree_works_beside(shared: SharedRemote, tmp_path: Path) -> None:
    one, two = (claims_of(shared, tmp_path / "tree", beat_s=0.05) for _ in range(2))
    assert one.claim(STAGE, KEY) is Turn.OURS
    assert two.claim(STAGE, KEY) is Turn.BESIDE
    one.close()
    wait_for(lambda: two.claim(STAGE, KEY) is Turn.OURS)
    two.close()
    assert shared.read(NAME) is None


def test_a_dead_process_s_claim_is_free_at_once_on_its_machine(shared: SharedRemote, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        claims_of(shared, tmp_path / "one", beat_s=1e6).claim(STAGE, KEY)
        os._exit(0)
    os.waitpid(child, 0)
    assert shared.read(NAME)
    assert claims_of(shared, tmp_path / "two", silence_s=1e9).claim(STAGE, KEY) is Turn.OURS


def test_a_claim_from_elsewhere_is_free_after_silence(shared: SharedRemote, tmp_path: Path) -> None:
    one = claims_of(shared, tmp_path / "one", beat_s=1e6)
    one.claim(STAGE, KEY)
    from_elsewhere(shared)
    assert claims_of(shared, tmp_path / "two").claim(STAGE, KEY) is Turn.THEIRS
    time.sleep(1.1)  # a server tells whole seconds
    assert claims_of(shared, tmp_path / "three", silence_s=0.5).claim(STAGE, KEY) is Turn.OURS
    one.release(STAGE, KEY)  # it slept, and what it let go of is another's by now
    assert shared.read(NAME)


def test_a_claim_that_beats_stays_young(shared: SharedRemote, tmp_path: Path) -> None:
    one = claims_of(shared, tmp_path / "one", beat_s=0.1)
    one.claim(STAGE, KEY)
    time.sleep(1.5)
    age = shared.age(NAME)
    assert age is not None
    assert age <= 1.0
    one.close()
    assert shared.age(NAME) is None


def test_what_changed_meanwhile_is_not_swapped(shared: SharedRemote) -> None:
    assert shared.create(NAME, b"one")
    assert not shared.create(NAME, b"two")
    assert not shared.swap(NAME, b"two", b"three")
    assert shared.read(NAME) == b"one"
    assert shared.swap(NAME, b"one", b"two")
    assert shared.read(NAME) == b"two"
    shared.delete([NAME])
    assert not shared.swap(NAME, b"two", b"three")
    assert shared.read(NAME) is None
