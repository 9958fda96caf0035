"""Stage "latents": one latent per frame and camera of the dataset."""

from __future__ import annotations

import glob
import time
from contextlib import closing
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from world_modality.data.episodes import dataset_fingerprint
from world_modality.data.frames import FrameReader
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.resolve import at_hand
from world_modality.errors import UserError
from world_modality.latents.alignment import MINIMUM_COSINE, SAMPLED
from world_modality.latents.cache import write_cache
from world_modality.latents.encoding import EpisodeEncoder, Shards
from world_modality.latents.importing import Import, Source
from world_modality.store.files import empty_folder, folder_digest, write_json
from world_modality.store.stage import TIMING, Facts, StageContext
from world_modality.study.specs import LatentsSpec


def run(spec: LatentsSpec, context: StageContext) -> Facts:
    """Encode every frame's clip and assemble the cache; finished episodes survive a crash in ``context.work``.

    Raises:
        UserError: dataset and spec do not fit (no such camera, damaged metadata), or the encoder does not fit the spec.
    """
    if spec.file:
        return _take_over(spec, context)
    dataset = context.one("dataset")
    # One thread, as in rollouts: how many cores a job was given must not decide how its sums are rounded.
    torch.set_num_threads(1)
    reader = FrameReader(dataset, spec.camera)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = load_encoder(spec.encoder, context.one("encoder"), device)
    shards = Shards(context.work / "shards")
    rate = _encode_missing(EpisodeEncoder(reader, encoder, shards), device, context)
    empty_folder(context.artifact)
    with threadpool_limits(1):
        write_cache(
            context.artifact,
            (shards.load(episode) for episode in range(len(reader.table))),
            (reader.table.frames, encoder.tokens, encoder.dim),
            camera=spec.camera,
            encoder=spec.encoder,
            dataset_fingerprint=dataset_fingerprint(dataset),
        )
    write_json(context.volatile / TIMING, {"frames_per_second": round(rate, 1)})
    return {"frames": reader.table.frames, "tokens": encoder.tokens, "dim": encoder.dim}


def _take_over(spec: LatentsSpec, context: StageContext) -> Facts:
    """Make the cache of a file that was made elsewhere, once a sample of it was encoded again and found in its rows."""
    file = Path(spec.file)
    if folder_digest(file.parent, patterns=(glob.escape(file.name),)) != spec.digest:
        raise UserError(f"{file} is not there, or not as it was when the study was planned: run the study again")
    encoder = at_hand(spec.encoder, context.one("encoder"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = Import(Source(file, context.one("dataset"), spec.camera, encoder), device)
    alignment = work.check(count=SAMPLED, seed=0, minimum_cosine=MINIMUM_COSINE, progress=context.progress)
    for line in alignment.lines():
        context.progress.say(f"{context.progress.label}: {line}")
    if problem := alignment.problem():
        hint = "; `wm import-latents --repair-starts` mends those" if alignment.only_starts_fail() else ""
        raise UserError(f"encoder.latents.{spec.camera}: {file} is not taken over: {problem}{hint}")
    empty_folder(context.artifact)
    work.write(context.artifact)
    return {
        "frames": work.table.frames,
        "tokens": encoder.tokens,
        "dim": encoder.dim,
        "frames_encoded_again": len(alignment.own),
        "of_which_matched": int(alignment.matched.sum()),
    }


def _encode_missing(job: EpisodeEncoder, device: str, context: StageContext) -> float:
    """Encode the episodes without a shard; return frames per second of this attempt."""
    table, shards = job.reader.table, job.shards
    missing = [episode for episode in range(len(table)) if not shards.has(episode)]
    before = done = int(table.lengths.sum() - table.lengths[missing].sum())
    start = time.monotonic()
    rate = 0.0
    context.progress.update(done, table.frames, "frames")
    alone = device != "cpu" or context.cores == 1  # a GPU has one queue of work
    encoded = job.here(missing, max(1, context.cores - 1)) if alone else job.in_processes(missing, context.cores)
    with closing(encoded):
        for episode in encoded:
            done += int(table.lengths[episode])
            rate = (done - before) / (time.monotonic() - start)
            context.progress.update(done, table.frames, "frames", f"{rate:.0f} frames/s")
    return rate
