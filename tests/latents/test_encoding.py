"""Encoding in worker processes: what a killed worker, a damaged episode or an early end leaves behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from support.data_stages import encoder_spec, stage_context
from support.tiny_dataset import build_tiny_dataset

from world_modality.data.frames import FrameReader
from world_modality.encoders import source
from world_modality.encoders.encoder import Encoder, Network, load_encoder
from world_modality.errors import UserError
from world_modality.latents.encoding import DECODED_AHEAD, StretchEncoder
from world_modality.latents.shards import Shards, Stretch, cut

EPISODES = 6


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> StretchEncoder:
    folder = tmp_path_factory.mktemp("encoding")
    context = stage_context(folder / "encoder")
    source.run(encoder_spec(), context)
    dataset = build_tiny_dataset(folder / "set", episodes=EPISODES, frames=5, size=48)
    job = StretchEncoder(
        FrameReader(dataset, "image"), load_encoder(encoder_spec(), context.artifact), Shards(folder / "shards")
    )
    assert list(job.here(stretches(job), 2)) == stretches(job)
    return job


def stretches(job: StretchEncoder) -> list[Stretch]:
    return list(cut(job.reader.table))


@dataclass(frozen=True)
class Fragile(StretchEncoder):
    """Its worker is killed at episode 2, ``times`` times."""

    times: int = 1

    def encode(self, stretch: Stretch) -> Stretch:
        deaths = list(self.shards.folder.glob("death*"))
        if stretch.episode == 2 and len(deaths) < self.times:
            self.shards.folder.mkdir(parents=True, exist_ok=True)
            (self.shards.folder / f"death{len(deaths)}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(stretch)


def fragile(job: StretchEncoder, folder: Path, times: int) -> Fragile:
    return Fragile(job.reader, job.encoder, Shards(folder), times)


@pytest.mark.parametrize(("workers", "times"), [(4, 0), (4, 1), (4, 2), (2, 1)])
def test_a_killed_worker_is_no_loss(job: StretchEncoder, tmp_path: Path, workers: int, times: int) -> None:
    other = fragile(job, tmp_path / "shards", times)
    assert sorted(other.in_processes(stretches(job), workers)) == stretches(job)
    for stretch in stretches(job):
        assert np.array_equal(other.shards.load(stretch), job.shards.load(stretch))
    assert not multiprocessing.active_children()


def test_a_last_worker_that_is_killed_is_told(job: StretchEncoder, tmp_path: Path) -> None:
    other = fragile(job, tmp_path / "shards", 99)
    with pytest.raises(UserError, match="lack of memory"):
        list(other.in_processes(stretches(job), 4))
    assert not other.shards.has(stretches(job)[2])


def test_no_more_is_taken_than_what_is_worked_on_and_decoded_ahead(job: StretchEncoder, tmp_path: Path) -> None:
    """Else whoever comes later finds nothing left to do, and memory is full of pictures."""
    other = StretchEncoder(job.reader, job.encoder, Shards(tmp_path))
    for workers, most in ((0, DECODED_AHEAD + 1), (2, 2)):
        taken: list[Stretch] = []
        many = (taken.append(each) or each for each in stretches(job) * 4)
        encoded = other.in_processes(many, workers) if workers else other.here(many, 63)
        next(encoded)
        assert len(taken) <= most + 1  # the last is not full without a clip of the next
        encoded.close()


@dataclass(frozen=True)
class Overflowing:
    """A network whose latents of one clip are larger than float16 can hold."""

    network: Network

    @property
    def model(self) -> object:
        return self.network.model

    @property
    def dim(self) -> int:
        return self.network.dim

    def process(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.process(pixels)

    def latents(self, clips: torch.Tensor) -> torch.Tensor:
        latents = self.network.latents(clips)
        latents[-1] = 1e6
        return latents


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("workers", [0, 2])
def test_latents_that_float16_cannot_hold_are_told_and_never_kept(
    job: StretchEncoder, tmp_path: Path, workers: int
) -> None:
    encoder = Encoder(job.encoder.spec, Overflowing(job.encoder.network))
    other = StretchEncoder(job.reader, encoder, Shards(tmp_path / "shards"))
    encoded = other.in_processes(stretches(job), workers) if workers else other.here(stretches(job), 1)
    with pytest.raises(UserError, match=r"^the encoder vjepa2-small, .* frames between \d+ and \d+: let it compute in"):
        list(encoded)
    assert not list((tmp_path / "shards").glob("*.npy"))


@dataclass(frozen=True)
class Slow(StretchEncoder):
    """Episode 0 is done at once, unless it is damaged; the others take a minute each."""

    damaged: bool = False

    def encode(self, stretch: Stretch) -> Stretch:
        if stretch.episode:
            time.sleep(60)
        if self.damaged:
            raise UserError("episode 0 is damaged")
        return stretch


def all_workers_end(within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not multiprocessing.active_children()


def test_an_error_stops_all_workers_at_once(job: StretchEncoder) -> None:
    slow = Slow(job.reader, job.encoder, job.shards, damaged=True)
    with pytest.raises(UserError, match="episode 0 is damaged"):
        list(slow.in_processes(stretches(job), 3))
    assert all_workers_end()


def test_no_worker_outlives_an_early_end(job: StretchEncoder) -> None:
    encoded = Slow(job.reader, job.encoder, job.shards).in_processes(stretches(job), 3)
    assert next(encoded) == stretches(job)[0]
    assert len(multiprocessing.active_children()) == 3
    encoded.close()
    assert all_workers_end()
