"""Stage "latents": one latent per frame and camera of the dataset."""

from __future__ import annotations

import glob
import multiprocessing
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from world_modality.data.episodes import dataset_fingerprint
from world_modality.data.frames import FrameReader
from world_modality.encoders.encoder import load_encoder
from world_modality.encoders.resolve import at_hand
from world_modality.errors import UserError
from world_modality.latents.alignment import MINIMUM_COSINE, SAMPLED
from world_modality.latents.alike import require_alike
from world_modality.latents.cache import write_cache
from world_modality.latents.encoding import StretchEncoder, follow
from world_modality.latents.importing import Import, Source
from world_modality.latents.shards import SHARDS, Shards, Stretch, cut, longest_stretch
from world_modality.latents.sharing import Share
from world_modality.store.files import empty_folder, folder_digest, write_json
from world_modality.store.progress import LABEL_WIDTH, Progress
from world_modality.store.stage import TIMING, Facts, StageContext
from world_modality.study.specs import LatentsSpec

LEASES = "leases"  # a folder of the stage's work


def run(spec: LatentsSpec, context: StageContext) -> Facts:
    """Encode every frame's clip and assemble the cache; finished stretches survive a crash in ``context.work``.

    Raises:
        UserError: dataset and spec do not fit (no such camera, damaged metadata), the encoder does not fit the spec, or
            ``context.work`` was begun on what rounds otherwise.
    """
    if spec.file:
        return _take_over(spec, context)
    first, *others = devices()
    require_alike(context.work, first)
    job = _open(spec, context.one("dataset"), context.one("encoder"), context.work, first)
    decoders = max(1, context.cores // (1 + len(others)) - 1)  # beside each process that encodes
    with _helpers(spec, context, others, decoders):
        rate = _encode_missing(job, first, context, decoders)
    context.begin_sealing()
    return _assemble(job, spec, context, rate)


def devices() -> tuple[str, ...]:
    """What this process and its helpers compute on: each GPU that it sees, or the CPU."""
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) or ("cpu",)


def _open(spec: LatentsSpec, dataset: Path, encoder: Path, work: Path, device: str) -> StretchEncoder:
    # One thread, as in rollouts: how many cores a job was given must not decide how its sums are rounded.
    torch.set_num_threads(1)
    reader = FrameReader(dataset, spec.camera)
    return StretchEncoder(reader, load_encoder(spec.encoder, encoder, device), Shards(work / SHARDS))


def _assemble(job: StretchEncoder, spec: LatentsSpec, context: StageContext, rate: float) -> Facts:
    reader, encoder = job.reader, job.encoder
    empty_folder(context.artifact)
    with threadpool_limits(1):
        write_cache(
            context.artifact,
            _in_order(job),
            (reader.table.frames, encoder.tokens, encoder.dim),
            camera=spec.camera,
            encoder=spec.encoder,
            dataset_fingerprint=dataset_fingerprint(context.one("dataset")),
        )
    write_json(context.volatile / TIMING, {"frames_per_second": round(rate, 1)})
    return {"frames": reader.table.frames, "tokens": encoder.tokens, "dim": encoder.dim}


def _stretches(job: StretchEncoder) -> list[Stretch]:
    """What is encoded in one go."""
    longest = longest_stretch(job.reader.picture_bytes)
    return [piece for stretch in cut(job.reader.table) for piece in stretch.pieces(longest)]


def _in_order(job: StretchEncoder) -> Iterator[NDArray[np.float16]]:
    """All shards, those of a stretch's pieces together: how large pictures are decides nothing about sums."""
    longest = longest_stretch(job.reader.picture_bytes)
    for stretch in cut(job.reader.table):
        yield np.concatenate([_loaded(job.shards, piece) for piece in stretch.pieces(longest)])


def _loaded(shards: Shards, stretch: Stretch) -> NDArray[np.float16]:
    latents = shards.load(stretch)
    if latents is None:
        raise UserError(
            f"the latents of frames {stretch.start + stretch.first} to {stretch.start + stretch.end - 1} were damaged "
            "after they were written: make sure that the disk is not full, and run it again, which makes only those "
            "anew"
        )
    return latents


@contextmanager
def _helpers(spec: LatentsSpec, context: StageContext, others: Sequence[str], decoders: int) -> Iterator[None]:
    """A process for each further GPU, which takes its share of the stretches; none outlives the block."""
    spawn = multiprocessing.get_context("spawn")  # CUDA cannot be forked
    share = partial(_help, spec, context.one("dataset"), context.one("encoder"), context.work)
    helpers = [spawn.Process(target=share, args=(device, decoders, os.getpid()), daemon=True) for device in others]
    for helper in helpers:
        helper.start()
    try:
        yield
    finally:
        for helper in helpers:
            helper.kill()  # all is done, or this process ends early
            helper.join()


def _help(spec: LatentsSpec, dataset: Path, encoder: Path, work: Path, device: str, decoders: int, stage: int) -> None:
    try:
        require_alike(work, device)
    except UserError as error:
        Progress("latents").say(f"{device} lends no hand: {error}")
        return
    follow(stage)
    job = _open(spec, dataset, encoder, work, device)
    with closing(Share(job.shards, _stretches(job), work / LEASES)) as share:
        for _ in share.work(lambda stretches: job.here(stretches, decoders)):
            pass


def _encode_missing(job: StretchEncoder, device: str, context: StageContext, decoders: int) -> float:
    """Finish every stretch, with whoever else works on them; frames per second that were finished meanwhile."""
    frames, progress = job.reader.table.frames, context.progress
    with closing(Share(job.shards, _stretches(job), context.work / LEASES)) as share:
        before = done = sum(map(len, share.done))
        start = time.monotonic()
        rate = 0.0
        progress.update(done, frames, "frames")
        way = _way(job, device, context.cores, decoders, share.left)
        with closing(share.work(way, partial(_say, progress))) as finished:
            for stretch in finished:
                done += len(stretch)
                rate = (done - before) / (time.monotonic() - start)
                progress.update(done, frames, "frames", f"{rate:.0f} frames/s")
    return rate


def _say(progress: Progress, text: str) -> None:
    progress.say(f"{progress.label:<{LABEL_WIDTH}}  {text}")


def _way(
    job: StretchEncoder, device: str, cores: int, decoders: int, left: int
) -> Callable[[Iterable[Stretch]], Generator[Stretch]]:
    """A GPU has one queue of work, which cores decode for; on a CPU each core has its own."""
    if device != "cpu" or cores == 1:
        return partial(job.here, decoders=decoders)
    return partial(job.in_processes, workers=max(1, min(cores, left)))


def _take_over(spec: LatentsSpec, context: StageContext) -> Facts:
    """Make the cache of a file that was made elsewhere, once a sample of it was encoded again and found in its rows."""
    file = Path(spec.file)
    if folder_digest(file.parent, patterns=(glob.escape(file.name),)) != spec.digest:
        raise UserError(f"{file} is not there, or not as it was when the study was planned: run the study again")
    encoder = at_hand(spec.encoder, context.one("encoder"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    work = Import(Source(file, context.one("dataset"), spec.camera, encoder), device, renamed=True)
    alignment = work.check(count=SAMPLED, seed=0, minimum_cosine=MINIMUM_COSINE, progress=context.progress)
    for line in alignment.lines():
        context.progress.say(f"{context.progress.label}: {line}")
    if problem := alignment.problem():
        hint = "; `wm latents import --repair-starts` mends those" if alignment.only_starts_fail() else ""
        raise UserError(f"encoder.latents.{spec.camera}: {file} is not taken over: {problem}{hint}")
    context.begin_sealing()
    empty_folder(context.artifact)
    work.write(context.artifact)
    return {
        "frames": work.table.frames,
        "tokens": encoder.tokens,
        "dim": encoder.dim,
        "frames_encoded_again": len(alignment.own),
        "of_which_matched": int(alignment.matched.sum()),
    }
