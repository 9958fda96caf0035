"""Frames per second of the latents stage beside the bare encoder and the naive loop: ``python -m bench.bench_latents``.

Three ways to the same latents of the same dataset of videos, which it makes if ``--dataset`` does not name one:

- bare: the encoder alone, on frames that are decoded and prepared already;
- naive: LeRobotDataset with ``delta_timestamps``, which decodes m frames for every frame, and its DataLoader;
- stage: the latents stage, from opening the dataset to the cache on the disk, loading the encoder included.

On a CPU the bare encoder and the stage run in so many processes of one thread as ``--cores`` says, and the naive loop
encodes in one thread beside so many processes that decode; all three must give the same bytes. Once with the small
encoder, where decoding dominates, and once with one of ViT-S's size, where encoding does. Then the stage's peak memory,
on a quarter of the frames, on all of them, and on as many in one episode.

On a GPU, of which one may be seen, all three encode there, ``--cores`` decode for the stage and the naive loop, and the
latents must be alike but for rounding; memory is not measured. ``--encoder`` names one to measure instead of the two.
"""

from __future__ import annotations

import argparse
import io
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from support.data_stages import encoder_spec, moving_dots
from support.tiny_dataset import write_dataset

from world_modality.data.frames import FrameReader
from world_modality.encoders.encoder import Encoder, clip_rows, load_encoder
from world_modality.encoders.resolve import resolve_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.latents.stage import devices, run
from world_modality.store.machine import machine
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import EncoderSpec, LatentsSpec

CAMERA, CLIP = "image", 4
COLUMN = f"observation.images.{CAMERA}"
Latents = NDArray[np.float16]


def make_dataset(folder: Path, lengths: list[int], size: int, *, videos: bool) -> Path:
    """A LeRobotDataset of drawn episodes, encoded as LeRobot does by default, or as pictures."""
    kind, names = "video" if videos else "image", ["height", "width", "channel"]
    picture = {"dtype": kind, "shape": (size, size, 3), "names": names}

    def episode(number: int, length: int) -> Iterator[dict[str, Any]]:
        for part in range(0, length, 250):
            for frame in moving_dots(min(250, length - part), size, seed=1000 * number + part):
                yield {COLUMN: frame, "task": "watch"}

    episodes = (episode(number, length) for number, length in enumerate(lengths))
    return write_dataset(folder, {COLUMN: picture}, episodes, videos=videos)


def make_encoder(folder: Path, *, large: bool) -> EncoderSpec:
    """The small embedded V-JEPA 2, or one of random weights with ViT-S's size at 128 pixels."""
    spec = encoder_spec(frames=CLIP, image_size=64)
    if not large:
        build_embedded_encoder(spec, folder)
        return spec
    from transformers import VJEPA2Config, VJEPA2Model, VJEPA2VideoProcessor

    config = VJEPA2Config(
        hidden_size=384,
        num_attention_heads=6,
        num_hidden_layers=12,
        patch_size=16,
        crop_size=128,
        frames_per_clip=CLIP,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        pred_num_mask_tokens=1,
    )
    torch.manual_seed(0)
    VJEPA2Model(config).save_pretrained(folder)
    VJEPA2VideoProcessor(crop_size={"height": 128, "width": 128}).save_pretrained(folder)
    return encoder_spec(frames=CLIP, image_size=128, source="folder", name=str(folder), revision="0")


def shared_out(work: Callable[[list[int]], Latents], episodes: int, cores: int) -> tuple[Latents, float]:
    """``work`` on every ``cores``-th episode in as many forked processes; with the seconds that the slowest took.

    0 ``cores``: all in this process, since CUDA cannot be forked.
    """
    if not cores:
        began = time.perf_counter()
        return work(list(range(episodes))), time.perf_counter() - began
    fork = multiprocessing.get_context("fork")
    results: Any = fork.Queue()

    def one(part: int) -> None:
        torch.set_num_threads(1)
        began = time.perf_counter()
        latents = work(list(range(part, episodes, cores)))
        results.put((part, latents, time.perf_counter() - began))

    processes = [fork.Process(target=one, args=(part,)) for part in range(cores)]
    for process in processes:
        process.start()
    found = sorted((results.get() for _ in processes), key=lambda each: each[0])
    for process in processes:
        process.join()
    return np.concatenate([latents for _, latents, _ in found]), max(seconds for *_, seconds in found)


def in_order(latents: Latents, reader: FrameReader, cores: int) -> Latents:
    """Rows that ``shared_out`` found, by the frames' indices."""
    episodes = range(len(reader.table))
    order = [e for c in range(cores) for e in episodes[c::cores]] if cores else episodes
    places = [np.arange(reader.table.starts[e], reader.table.ends[e]) for e in order]
    ordered = np.empty_like(latents)
    ordered[np.concatenate(places)] = latents
    return ordered


def bare(encoder: Encoder, reader: FrameReader, cores: int) -> tuple[Latents, float]:
    """The encoder on ready tensors, which lie where it does."""
    ready = [encoder.prepare(reader.episode(number)) for number in range(len(reader.table))]
    clips = [clip_rows(np.arange(len(frames)), CLIP) for frames in ready]

    def work(mine: list[int]) -> Latents:
        return np.concatenate([encoder.encode_prepared(ready[e], clips[e]).astype(np.float16) for e in mine])

    latents, seconds = shared_out(work, len(reader.table), cores)
    return in_order(latents, reader, cores), seconds


def naive(encoder: Encoder, dataset: Path, cores: int) -> tuple[Latents, float]:
    """A loop over LeRobot's own dataset, frame by frame, whose loader has as many processes."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    fps = FrameReader(dataset, CAMERA).table.fps
    deltas = {COLUMN: [step / fps for step in range(1 - CLIP, 1)]}
    items = LeRobotDataset("local/bench", root=dataset, delta_timestamps=deltas, video_backend="pyav")
    loader = torch.utils.data.DataLoader(items, batch_size=encoder.spec.batch, num_workers=cores)
    latents = []
    torch.set_num_threads(1)
    began = time.perf_counter()
    for batch in loader:
        clips = (batch[COLUMN] * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
        prepared = encoder.prepare(clips.reshape(-1, *clips.shape[2:]))
        rows = np.arange(len(prepared)).reshape(len(clips), CLIP)
        latents.append(encoder.encode_prepared(prepared, rows).astype(np.float16))
    return np.concatenate(latents), time.perf_counter() - began


def stage(spec: EncoderSpec, dataset: Path, encoder: Path, folder: Path, cores: int) -> tuple[Latents, float]:
    """The stage, whole."""
    for name in ("artifact", "work", "volatile"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    progress = Progress("bench", stream=io.StringIO())
    inputs = {"dataset": (dataset,), "encoder": (encoder,)}
    context = StageContext("", folder / "artifact", folder / "volatile", folder / "work", inputs, progress, cores)
    began = time.perf_counter()
    run(LatentsSpec(encoder=spec, camera=CAMERA, dtype="float16"), context)
    seconds = time.perf_counter() - began
    return np.load(folder / "artifact" / "latents.npy", mmap_mode="r"), seconds


def compared(name: str, spec: EncoderSpec, dataset: Path, weights: Path, folder: Path, cores: int) -> dict[str, float]:
    """Frames per second of the three ways, with one encoder; an error if they do not give the same latents."""
    (device,) = devices()
    encoder, reader = load_encoder(spec, weights, device), FrameReader(dataset, CAMERA)
    torch.set_num_threads(1)
    first, bare_s = bare(encoder, reader, cores if device == "cpu" else 0)
    second, stage_s = stage(spec, dataset, weights, folder / "stage", cores)
    third, naive_s = naive(encoder, dataset, cores)
    if not (alike(first, second, device) and alike(first, third, device)):
        raise SystemExit(f"{name}: the three ways do not give the same latents")
    rates = {way: len(first) / seconds for way, seconds in (("bare", bare_s), ("stage", stage_s), ("naive", naive_s))}
    told = ", ".join(f"{way} {rate:.1f}" for way, rate in rates.items())
    print(f"{name} on {device}: frames/s {told}; same {'bytes' if device == 'cpu' else 'latents'}", flush=True)
    print(
        f"BENCH latents encoder={name} bare_fps={rates['bare']:.1f} stage_fps={rates['stage']:.1f} "
        f"naive_fps={rates['naive']:.1f} of_bare={rates['stage'] / rates['bare']:.3f} "
        f"times_naive={rates['stage'] / rates['naive']:.2f}",
        flush=True,
    )
    return rates


def alike(one: Latents, other: Latents, device: str) -> bool:
    """Whether latents are the same: byte for byte on a CPU, but for a hundredth of their spread on a GPU."""
    if device == "cpu":
        return np.array_equal(one, other)
    first, second = one.astype(np.float32), other.astype(np.float32)
    return first.shape == second.shape and float(np.abs(first - second).max()) <= 0.01 * float(first.std())


def made(dataset: Path, folder: Path, cores: int, *, large: bool) -> dict[str, float]:
    """``compared``, with one of the two encoders that are made here."""
    spec = make_encoder(folder / "encoder", large=large)
    return compared("vit-s" if large else "vjepa2-small", spec, dataset, folder / "encoder", folder, cores)


def given(name: str, dataset: Path, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """``compared``, with an encoder that someone named."""
    found = resolve_encoder(name, frames=CLIP, image_size=None, dtype=options.dtype)
    spec = found.spec.model_copy(update={"batch": options.batch})
    return compared(spec.kind, spec, dataset, found.folder, folder, options.cores)


def peak_memory(dataset: Path, encoder: Path, folder: Path) -> float:
    """MiB that a process of its own held at most while it ran the stage, on one core."""
    spawn = multiprocessing.get_context("spawn")
    results: Any = spawn.Queue()
    process = spawn.Process(target=_measured, args=(dataset, encoder, folder, results))
    process.start()
    peak = float(results.get())
    process.join()
    return peak


def _measured(dataset: Path, encoder: Path, folder: Path, results: Any) -> None:
    stage(encoder_spec(frames=CLIP, image_size=64), dataset, encoder, folder, 1)
    status = Path("/proc/self/status").read_text()  # resource.getrusage would tell of the process that started this one
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    results.put(int(peak) / 1024)


def memory(folder: Path, frames: int) -> None:
    """Peak memory by the dataset's size and by the length of its episodes; pictures, so that it is made quickly."""
    build_embedded_encoder(encoder_spec(frames=CLIP, image_size=64), folder / "encoder")
    sizes = {"quarter": [250] * (frames // 1000), "all": [250] * (frames // 250), "one_episode": [frames]}
    peaks = {}
    for name, lengths in sizes.items():
        dataset = make_dataset(folder / name, lengths, 128, videos=False)
        peaks[name] = peak_memory(dataset, folder / "encoder", folder / f"{name}-stage")
        print(f"peak memory, {sum(lengths)} frames in {len(lengths)} episodes: {peaks[name]:.0f} MiB", flush=True)
    print("BENCH latents memory " + " ".join(f"{name}_mib={peak:.0f}" for name, peak in peaks.items()), flush=True)


def main() -> None:
    """Make the datasets, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="root of a LeRobotDataset with a camera image")
    parser.add_argument("--episodes", type=int, default=8, help="of the dataset that is made")
    parser.add_argument("--length", type=int, default=100, help="frames of each")
    parser.add_argument("--pixels", type=int, default=256, help="of its pictures")
    parser.add_argument("--memory-frames", type=int, default=8000, help="of the datasets that memory is measured on")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--encoder", default="", help="folder or hub id of one to measure instead of the two made here")
    parser.add_argument("--dtype", default="float32", help="in which it computes")
    parser.add_argument("--batch", type=int, default=4, help="clips that it computes at once; 32 or more on a GPU")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ["SVT_LOG"] = "1"  # errors alone
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    seen = devices()
    if len(seen) > 1:
        sys.exit(f"{len(seen)} GPUs are seen, and only the stage would use all: set CUDA_VISIBLE_DEVICES to one")
    print(f"{machine()['processor']}, {options.cores} cores, {seen[0]}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lengths = [options.length] * options.episodes
        dataset = options.dataset or make_dataset(folder / "set", lengths, options.pixels, videos=True)
        if options.encoder:
            rates = given(options.encoder, dataset, folder / "given", options)
            sys.exit(0 if rates["stage"] >= 0.9 * rates["bare"] else 1)
        small = made(dataset, folder / "small", options.cores, large=False)
        large = made(dataset, folder / "large", options.cores, large=True)
        if seen == ("cpu",):
            memory(folder / "memory", options.memory_frames)
    of_bare, times_naive = large["stage"] / large["bare"], small["stage"] / small["naive"]
    print(f"where the encoder dominates {of_bare:.1%} of its speed (target 90%), where decoding does ", end="")
    print(f"{times_naive:.1f} times the naive loop's (target 5)")
    print(f"BENCH latents of_bare={of_bare:.3f} times_naive={times_naive:.2f}")
    sys.exit(0 if of_bare >= 0.9 and times_naive >= 5 else 1)


if __name__ == "__main__":
    main()
