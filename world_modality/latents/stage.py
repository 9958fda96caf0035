"""Stage "latents": one latent per frame and camera of the dataset."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from world_modality.data.episodes import dataset_fingerprint
from world_modality.data.files import empty_folder
from world_modality.data.frames import FrameReader
from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.latents.cache import write_cache
from world_modality.latents.shards import Shards
from world_modality.store.stage import Facts, StageContext
from world_modality.study.specs import LatentsSpec


def run(spec: LatentsSpec, context: StageContext) -> Facts:
    """Encode every frame's clip and assemble the cache; finished episodes survive a crash in ``context.work``.

    Raises:
        UserError: dataset and spec do not fit (no such camera, damaged metadata), or the encoder does not fit the spec.
    """
    dataset = context.one("dataset")
    # One thread, as in rollouts: how many cores a job was given must not decide how its sums are rounded.
    torch.set_num_threads(1)
    reader = FrameReader(dataset, spec.camera)
    encoder = load_encoder(spec.encoder, context.one("encoder"), "cuda" if torch.cuda.is_available() else "cpu")
    shards = Shards(context.work / "shards")
    rate = _encode_missing(reader, encoder, shards, context)
    empty_folder(context.artifact)
    with threadpool_limits(1):
        write_cache(
            context.artifact,
            (shards.load(episode) for episode in range(len(reader.table))),
            (reader.table.frames, encoder.dim),
            camera=spec.camera,
            encoder=spec.encoder,
            dataset_fingerprint=dataset_fingerprint(dataset),
        )
    return {"frames": reader.table.frames, "dim": encoder.dim, "frames_per_second": round(rate, 1)}


def _encode_missing(reader: FrameReader, encoder: Encoder, shards: Shards, context: StageContext) -> float:
    """Encode the episodes without a shard; return frames per second of this attempt."""
    lengths = reader.table.lengths
    missing = [episode for episode in range(len(lengths)) if not shards.has(episode)]
    before = done = int(lengths.sum() - lengths[missing].sum())
    start = time.monotonic()
    rate = 0.0
    context.progress.update(done, reader.table.frames, "frames")
    for episode, frames in decoded_ahead(reader, missing, workers=max(1, context.cores - 1)):
        shards.save(episode, encoder.encode_episode(frames))
        done += len(frames)
        rate = (done - before) / (time.monotonic() - start)
        context.progress.update(done, reader.table.frames, "frames", f"{rate:.0f} frames/s")
    return rate


def decoded_ahead(
    reader: FrameReader, episodes: Sequence[int], workers: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Each episode's number and frames in order, decoded by threads at most ``workers`` episodes ahead of use."""
    waiting: deque[tuple[int, Future[NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for episode in episodes:
            waiting.append((episode, pool.submit(reader.episode, episode)))
            if len(waiting) > workers:
                number, frames = waiting.popleft()
                yield number, frames.result()
        while waiting:
            number, frames = waiting.popleft()
            yield number, frames.result()
