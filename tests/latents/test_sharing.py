"""Stretches that others work on: what is said of them, and what becomes of those whose owner is stuck."""

from __future__ import annotations

import os
import platform
from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from world_modality.latents import sharing
from world_modality.latents.shards import Shards, Stretch
from world_modality.latents.sharing import Share
from world_modality.store.leases import Leases

STRETCHES = [Stretch(0, 0, first, first + 2) for first in (0, 2, 4)]
LATENTS = np.ones((2, 1, 3), np.float16)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "TOLD_SECONDS", 0.0)
    monkeypatch.setattr(sharing, "POLL_SECONDS", 0.01)


def test_it_says_whom_it_waits_for(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "shards")

    def encode(stretches: Iterable[Stretch]) -> Generator[Stretch]:
        for stretch in stretches:
            shards.save(stretch, LATENTS)
            yield stretch

    told: list[str] = []
    with closing(Leases(tmp_path / "leases")) as other, closing(Share(shards, STRETCHES, tmp_path / "leases")) as share:
        for stretch in STRETCHES[1:]:
            assert other.claim(stretch.name)

        def say(text: str) -> None:
            told.append(text)
            shards.save(STRETCHES[len(told)], LATENTS)  # the other gets on

        assert list(share.work(encode, say)) == STRETCHES
    process = f"process {os.getpid()} on {platform.node()}"
    assert told == [f"waits for 2 stretches of {process}", f"waits for 1 stretches of {process}"]


def test_an_owner_that_is_stuck_keeps_nobody_waiting_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(sharing, "Leases", partial(Leases, beat_s=0.02, silence_s=0.2))
    shards = Shards(tmp_path / "shards")

    def encode(stretches: Iterable[Stretch]) -> Generator[Stretch]:
        for stretch in stretches:
            shards.save(stretch, LATENTS)
            yield stretch

    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        assert len(told) < 500, "it waits for ever"

    with (
        closing(Share(shards, STRETCHES, tmp_path / "leases")) as one,
        closing(Share(shards, STRETCHES, tmp_path / "leases")) as other,
    ):
        claimed = one._claimed()
        assert next(claimed) == STRETCHES[0]
        assert sorted(other.work(encode, say)) == STRETCHES
    assert told
