"""Encoding stretches of a dataset into shards: around one model on a GPU, in as many processes as cores on a CPU.

A stretch's latents depend on its frames alone and are computed by one thread in batches of one size, so neither the
number of workers nor who encodes what beside what can change a bit of them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.data.frames import FrameReader
from world_modality.encoders.encoder import Encoder
from world_modality.encoders.streaming import encode_parts
from world_modality.errors import UserError
from world_modality.latents.cache import require_finite
from world_modality.latents.shards import Shards, Stretch

PARENT_POLL_SECONDS = 0.5  # seconds between a worker's looks whether the stage still lives
DECODED_AHEAD = 4  # stretches at most: each is up to 256 MiB, and is kept from whoever else could encode it


@dataclass(frozen=True)
class StretchEncoder:
    """From a stretch's pictures to its shard."""

    reader: FrameReader
    encoder: Encoder
    shards: Shards

    def decode(self, stretch: Stretch) -> NDArray[np.uint8]:
        """The frames uint8 [F, H, W, 3] that the stretch's clips see."""
        return self.reader.between(stretch.episode, stretch.seen_from(self.encoder.spec.frames), stretch.end)

    def encode(self, stretch: Stretch) -> Stretch:
        """Encode and keep one stretch; gives it back."""
        (done,) = self._kept([(stretch, self.decode(stretch))])
        return done

    def here(self, stretches: Iterable[Stretch], decoders: int) -> Generator[Stretch]:
        """Encode in this process, in order; yields finished stretches.

        Up to ``decoders`` threads, and no more than ``DECODED_AHEAD``, read a stretch each ahead.
        """
        yield from self._kept(self._decoded_ahead(stretches, min(decoders, DECODED_AHEAD)))

    def in_processes(self, stretches: Iterable[Stretch], workers: int) -> Generator[Stretch]:
        """Encode in up to ``workers`` processes; yields finished stretches as they come.

        Each decodes while others encode, and none is given a stretch before it is free: whoever comes later finds what
        to do. When one is killed, most often for lack of memory, half as many go on with
        what is missing.

        Raises:
            UserError: the last one was killed too, an episode cannot be read, or a latent is not finite.
        """
        given_out = dict[Stretch, None]()
        to_come = iter(stretches)
        while True:
            try:
                for stretch in _pooled(self, _noted(chain(list(given_out), to_come), given_out), workers):
                    del given_out[stretch]
                    yield stretch
                return
            except BrokenProcessPool:
                if workers == 1:
                    raise UserError(
                        "encoding was killed, even in a single process, most often for lack of memory: "
                        "free some, or take a smaller encoder or image_size, and run the study again"
                    ) from None
                workers //= 2

    def _kept(self, decoded: Iterable[tuple[Stretch, NDArray[np.uint8]]]) -> Generator[Stretch]:
        clip = self.encoder.spec.frames
        parts = ((stretch, frames, stretch.clip_rows(clip)) for stretch, frames in decoded)
        for stretch, latents in encode_parts(self.encoder, parts):
            require_finite(latents, stretch.start + stretch.first, self.encoder.spec)  # before it is kept for good
            self.shards.save(stretch, latents)
            yield stretch

    def _decoded_ahead(
        self, stretches: Iterable[Stretch], decoders: int
    ) -> Generator[tuple[Stretch, NDArray[np.uint8]]]:
        """Each stretch and its frames in order, decoded by threads at most ``decoders`` stretches ahead of use."""
        waiting: deque[tuple[Stretch, Future[NDArray[np.uint8]]]] = deque()
        with ThreadPoolExecutor(decoders) as pool:
            for stretch in stretches:
                waiting.append((stretch, pool.submit(self.decode, stretch)))
                if len(waiting) > decoders:
                    ready, frames = waiting.popleft()
                    yield ready, frames.result()
            while waiting:
                ready, frames = waiting.popleft()
                yield ready, frames.result()


def _noted(stretches: Iterable[Stretch], given_out: dict[Stretch, None]) -> Iterator[Stretch]:
    for stretch in stretches:
        given_out[stretch] = None
        yield stretch


def _pooled(job: StretchEncoder, stretches: Iterator[Stretch], workers: int) -> Generator[Stretch]:
    """Finished stretches as they come. BrokenProcessPool when a worker dies; whatever happens, no worker is left.

    Workers are forked, so they share the encoder's weights and are there at once.
    """
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin, (job, os.getpid()))
    running = set[Future[Stretch]]()
    try:
        while True:
            running |= {pool.submit(_encode, each) for each in islice(stretches, workers - len(running))}
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in set(multiprocessing.active_children()) - before:
            worker.kill()
        raise
    pool.shutdown()


_job: StretchEncoder | None = None
"""In a worker: what it was forked with."""


def _begin(job: StretchEncoder, stage: int) -> None:
    """A worker's first act: compute like every other one, leave Ctrl-C to the stage, and do not outlive it."""
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    follow(stage)


def _encode(stretch: Stretch) -> Stretch:
    assert _job is not None
    return _job.encode(stretch)


def follow(stage: int) -> None:
    """From now on, end this process when its parent is no longer ``stage``."""
    threading.Thread(target=_look_after, args=(stage,), daemon=True).start()


def _look_after(stage: int) -> None:
    while os.getppid() == stage:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)
