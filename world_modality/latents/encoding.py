"""Encoding episodes one by one into shards: around one model on a GPU, in as many processes as cores on a CPU.

An episode's latents depend on that episode alone and are computed by one thread, so neither the number of workers nor
who encodes what can change a bit of them.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.data.frames import FrameReader
from world_modality.encoders.encoder import Encoder
from world_modality.errors import UserError
from world_modality.store.files import write_atomically

PARENT_POLL_SECONDS = 0.5  # seconds between a worker's looks whether the stage still lives


@dataclass(frozen=True)
class Shards:
    """One file per episode, named by the episode alone: what lies under a name is that episode, complete."""

    folder: Path

    def path(self, episode: int) -> Path:
        """Where an episode's latents are kept."""
        return self.folder / f"episode_{episode:06d}.npy"

    def has(self, episode: int) -> bool:
        """Whether the episode is finished."""
        return self.path(episode).is_file()

    def save(self, episode: int, latents: NDArray[np.float16]) -> None:
        """Keep an episode's latents [L, P, D]."""
        buffer = io.BytesIO()
        np.save(buffer, latents)
        write_atomically(self.path(episode), buffer.getvalue())

    def load(self, episode: int) -> NDArray[np.float16]:
        """An episode's latents [L, P, D]."""
        latents: NDArray[np.float16] = np.load(self.path(episode))
        return latents


@dataclass(frozen=True)
class EpisodeEncoder:
    """From an episode's pictures to its shard."""

    reader: FrameReader
    encoder: Encoder
    shards: Shards

    def encode(self, episode: int) -> int:
        """Encode and keep one episode; gives its number back."""
        self.shards.save(episode, self.encoder.encode_episode(self.reader.episode(episode)))
        return episode

    def here(self, episodes: Sequence[int], decoders: int) -> Generator[int]:
        """Encode in this process, in order, with ``decoders`` threads that read ahead; yields finished episodes."""
        for episode, frames in _decoded_ahead(self.reader, episodes, decoders):
            self.shards.save(episode, self.encoder.encode_episode(frames))
            yield episode

    def in_processes(self, episodes: Sequence[int], workers: int) -> Generator[int]:
        """Encode in up to ``workers`` processes; yields finished episodes as they come.

        When a worker is killed, most often for lack of memory, half as many go on with what is missing.

        Raises:
            UserError: the last one was killed too, or an episode cannot be read.
        """
        left = set(episodes)
        while left:
            try:
                for episode in _pooled(self, sorted(left), min(workers, len(left))):
                    left.discard(episode)
                    yield episode
            except BrokenProcessPool:
                if workers == 1:
                    raise UserError(
                        "encoding was killed, even in a single process, most often for lack of memory: "
                        "free some, or take a smaller encoder or image_size, and run the study again"
                    ) from None
                workers //= 2


def _decoded_ahead(
    reader: FrameReader, episodes: Sequence[int], decoders: int
) -> Generator[tuple[int, NDArray[np.uint8]]]:
    """Each episode's number and frames in order, decoded by threads at most ``decoders`` episodes ahead of use."""
    waiting: deque[tuple[int, Future[NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(decoders) as pool:
        for episode in episodes:
            waiting.append((episode, pool.submit(reader.episode, episode)))
            if len(waiting) > decoders:
                number, frames = waiting.popleft()
                yield number, frames.result()
        while waiting:
            number, frames = waiting.popleft()
            yield number, frames.result()


def _pooled(job: EpisodeEncoder, episodes: Sequence[int], workers: int) -> Generator[int]:
    """Finished episodes as they come. BrokenProcessPool when a worker dies; whatever happens, no worker is left.

    Workers are forked, so they share the encoder's weights and are there at once.
    """
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (job, os.getpid()))
    try:
        for future in as_completed([pool.submit(_encode, episode) for episode in episodes]):
            yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()
        raise
    pool.shutdown()


_job: EpisodeEncoder | None = None
"""In a worker: what it was forked with."""


def _begin(job: EpisodeEncoder, stage: int) -> None:
    """A worker's first act: compute like every other one, leave Ctrl-C to the stage, and do not outlive it."""
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_follow, args=(stage,), daemon=True).start()


def _encode(episode: int) -> int:
    assert _job is not None
    return _job.encode(episode)


def _follow(stage: int) -> None:
    """End this process when its parent is no longer ``stage``."""
    while os.getppid() == stage:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)
