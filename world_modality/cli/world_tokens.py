"""World tokens without a study, by the earlier system's commands, flags and files: make them, count them, see them.

``<cache_dir>/<dataset_name>/`` gets ``<split>_embeddings.fp16.npy`` float16 [N, D],
``<split>_world_tokens.int.npy`` int32 [N] and ``<split>_codebook_centroids.f32.npy`` float32 [K, D], beside the folders
of the stages that make them, which know more: camera, encoder, dataset, normalisation.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from world_modality.cli.latents import Clips, encode_latents
from world_modality.data.episodes import EpisodeTable, read_episode_table
from world_modality.errors import UserError
from world_modality.store.files import new_folder, write_atomically
from world_modality.store.hub import find_folder
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import TokensSpec

IGNORED = {
    "context_frames": "the encoder's clips are as long as --temporal_window says",
    "action_horizon": "no action is read",
    "future_offset": "no future is read",
    "batch_size": "an encoder computes as many clips at once as its specification says",
    "num_workers": "--cores says how many work",
    "vq_batch_size": "k-means is fitted on all sampled frames, not batch by batch",
}
"""Flags that are taken and decide nothing here, and why."""
HELD_OUT = 0.1
ITERATIONS = 25


def _parser(program: str, about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m world_modality.{program}", description=about)
    parser.add_argument("--dataset_name", required=True, help="folder of a LeRobotDataset, hub id or hub id@revision")
    parser.add_argument("--cache_dir", type=Path, default=Path("cache"))
    parser.add_argument("--split", default="train", help="first word of the files' names; they hold the whole dataset")
    return parser


def _held_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--held_out", type=float, default=HELD_OUT, help="share of every task's episodes that nothing is fitted on"
    )


def _run(work: Callable[[argparse.Namespace], Iterator[str]], arguments: argparse.Namespace) -> None:
    """Print what a command says; end with one line on stderr for what the user can mend."""
    try:
        for line in work(arguments):
            print(line, flush=True)
    except UserError as error:
        sys.exit(str(error))


def _place(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """The dataset's folder, and the cache's folder for it."""
    dataset, commit = find_folder(arguments.dataset_name, "dataset")
    name = dataset.resolve().name if commit is None else arguments.dataset_name.partition("@")[0]
    return dataset, arguments.cache_dir / name


def precompute_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.precompute_world_tokens``."""
    parser = _parser("precompute_world_tokens", "Encode a dataset, fit a codebook, and write every frame's token.")
    parser.add_argument("--image_key", default="image", help="camera, such as image or observation.images.image")
    parser.add_argument("--vision_model_name", default="facebook/vjepa2-vitg-fpc64-256", help="folder or hub id")
    parser.add_argument("--temporal_window", type=int, help="frames of a clip; 4 by default")
    parser.add_argument("--vq_num_tokens", type=int, default=1024)
    parser.add_argument("--vq_sample_frames", type=int, default=200_000)
    parser.add_argument("--vq_random_state", type=int, default=0)
    parser.add_argument("--l2_normalize", action="store_true")
    parser.add_argument("--device", default="auto", help="auto alone: a GPU where there is one")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    _held_out(parser)
    for name, why in IGNORED.items():
        parser.add_argument(f"--{name}", help=f"without effect: {why}")
    arguments = parser.parse_args(given)
    if arguments.device != "auto":
        parser.error(f"--device {arguments.device}: latents are made on a GPU where there is one; leave it out")
    if not 2 <= arguments.vq_num_tokens <= arguments.vq_sample_frames:
        parser.error("--vq_num_tokens must be at least 2, and at most --vq_sample_frames")
    _run(_precompute, arguments)


def _precompute(arguments: argparse.Namespace) -> Iterator[str]:
    from world_modality.tokens.stage import run

    for name, why in IGNORED.items():
        if getattr(arguments, name) is not None:
            yield f"--{name} has no effect: {why}"
    dataset, folder = _place(arguments)
    camera = arguments.image_key.removeprefix("observation.images.")
    latents, made = folder / f"{arguments.split}_latents_{camera}", folder / f"{arguments.split}_tokens_{camera}"
    clips = Clips(arguments.vision_model_name, camera, arguments.temporal_window, None, "float32")
    if latents.is_dir():
        _require_same(latents, dataset, clips)
        yield f"latents      {latents} are there already"
    else:
        yield from encode_latents(dataset, latents, clips, arguments.cores)[:1]
    spec = TokensSpec(
        size=arguments.vq_num_tokens,
        l2_normalise=arguments.l2_normalize,
        seed=arguments.vq_random_state,
        iterations=ITERATIONS,
        sample=arguments.vq_sample_frames,
        held_out=arguments.held_out,
    )
    work = made.with_name(f"{made.name}.work")
    inputs = {"dataset": (dataset,), "latents": (latents,)}
    with new_folder(made) as draft:
        facts = run(spec, StageContext("", draft, work, work, inputs, Progress("tokens"), arguments.cores))
    shutil.rmtree(work, ignore_errors=True)
    yield f"tokens       {made}: {facts['used']} of {facts['size']} tokens are used"
    for file in _export(folder, arguments.split, latents, made):
        yield f"written      {file}"


def _require_same(latents: Path, dataset: Path, clips: Clips) -> None:
    """UserError unless the latents that are there are what would be made."""
    from world_modality.data.episodes import dataset_fingerprint
    from world_modality.latents.reader import open_latents

    cache = open_latents(latents, frames=read_episode_table(dataset).frames)
    asked = clips.given().spec.address()
    if (cache.encoder.address(), cache.dataset_fingerprint) != (asked, dataset_fingerprint(dataset)):
        raise UserError(
            f"{latents} was made with another encoder or of another dataset: remove it, or name another --split"
        )


def _export(folder: Path, split: str, latents: Path, made: Path) -> Iterator[Path]:
    """Write the earlier system's three files; of latents with one token per frame, as all of its were."""
    from world_modality.latents.earlier_cache import LATENTS
    from world_modality.tokens.codebook import CENTROIDS
    from world_modality.tokens.reader import CODEBOOK, TOKENS

    arrays = {
        "embeddings.fp16": np.load(latents / LATENTS, mmap_mode="r")[:, 0],
        "world_tokens.int": np.load(made / TOKENS)[:, 0],
        "codebook_centroids.f32": np.load(made / CODEBOOK / CENTROIDS),
    }
    for name, array in arrays.items():
        file = folder / f"{split}_{name}.npy"
        draft = file.with_name(f".{file.name}.part")
        with draft.open("wb") as out:
            np.save(out, array)
        draft.replace(file)
        yield file


def _tokens(arguments: argparse.Namespace) -> tuple[Path, EpisodeTable, NDArray[np.int32], int]:
    """The dataset, its episodes, the tokens [N, 1] in the cache, and how many different ones there can be."""
    dataset, folder = _place(arguments)
    table = read_episode_table(dataset)
    file = folder / f"{arguments.split}_world_tokens.int.npy"
    if not file.is_file():
        raise UserError(f"there is no {file}: make it with python -m world_modality.precompute_world_tokens")
    tokens = np.load(file, allow_pickle=False)
    if tokens.shape != (table.frames,) or not np.issubdtype(tokens.dtype, np.integer) or tokens.min() < 0:
        raise UserError(f"{file} is {tokens.dtype} {list(tokens.shape)}, not one token per frame ({table.frames})")
    centroids = folder / f"{arguments.split}_codebook_centroids.f32.npy"
    known = len(np.load(centroids, mmap_mode="r")) if centroids.is_file() else 0
    return dataset, table, tokens.astype(np.int32)[:, None], max(known, int(tokens.max()) + 1)


def analyze_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.analyze_world_tokens``."""
    parser = _parser("analyze_world_tokens", "Say how tokens are used, how long they stay, and what follows them.")
    parser.add_argument("--max_k", type=int, default=8)
    parser.add_argument("--topn", type=int, default=20)
    _held_out(parser)
    _run(_analyze, parser.parse_args(given))


def _analyze(arguments: argparse.Namespace) -> Iterator[str]:
    from world_modality.tokens.baselines import Bigram, Usage, copy_accuracy
    from world_modality.tokens.shares import Shares

    dataset, table, tokens, size = _tokens(arguments)
    shares, usage = Shares.of(dataset, arguments.held_out), Usage.of(tokens, size)
    kind = "held-out" if shares.held_out else "training"
    yield f"frames       {table.frames} in {len(table)} episodes"
    yield f"used         {usage.used} of {size} tokens"
    yield f"entropy      {usage.entropy:.4f} nats, perplexity {usage.perplexity:.2f}"
    for token, count in usage.most_frequent(arguments.topn):
        yield f"token {token:<6} {count} frames, {100 * count / table.frames:.2f}%"
    yield f"right, in percent of the frames of {len(shares.judged.starts)} {kind} episodes; pairs stay within episodes"
    for step in range(1, arguments.max_k + 1):
        copy = copy_accuracy(tokens, shares.judged, step)
        bigram = Bigram.fit(tokens, size, shares.trained, step).accuracy(tokens, shares.judged, step)
        told = [
            f"{name} {'-' if value is None else f'{100 * value:.2f}'}"
            for name, value in (("copy", copy), ("bigram", bigram))
        ]
        yield f"k = {step:<8} {', '.join(told)}"


def inspect_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.inspect_token_images``."""
    parser = _parser("inspect_token_images", "Write pictures of frames that have a token, a grid per token.")
    parser.add_argument("--image_key", default="image")
    parser.add_argument("--out_dir", type=Path, default=Path("token_inspection"))
    parser.add_argument("--num_tokens", type=int, default=10, help="so many of the most frequent")
    parser.add_argument("--samples_per_token", type=int, default=12)
    parser.add_argument("--resize", type=int, default=224, help="pixels along a picture's side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--token_ids", default="", help="these tokens instead, such as 3,17")
    _run(_inspect, parser.parse_args(given))


def _inspect(arguments: argparse.Namespace) -> Iterator[str]:
    from world_modality.data.frames import FrameReader
    from world_modality.tokens.baselines import Usage
    from world_modality.tokens.grids import token_grids

    dataset, _, tokens, size = _tokens(arguments)
    usage = Usage.of(tokens, size)
    try:
        wanted = [int(word) for word in arguments.token_ids.split(",") if word.strip()]
    except ValueError:
        raise UserError(f"--token_ids: {arguments.token_ids} is no list of numbers such as 3,17") from None
    unused = [token for token in wanted if not 0 <= token < size or not usage.counts[token]]
    if unused:
        raise UserError(f"--token_ids: no frame has token {unused[0]}")
    grids = token_grids(
        FrameReader(dataset, arguments.image_key),
        tokens,
        wanted or [token for token, _ in usage.most_frequent(arguments.num_tokens)],
        number=arguments.samples_per_token,
        columns=max(1, int(np.ceil(np.sqrt(arguments.samples_per_token)))),
        pixels=arguments.resize,
        seed=arguments.seed,
    )
    for grid in grids:
        file = arguments.out_dir / f"token_{grid.token:04d}_n{usage.counts[grid.token]}.jpg"
        write_atomically(file, _jpeg(grid.picture))
        yield f"written      {file}"


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
