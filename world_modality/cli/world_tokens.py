"""World tokens without a study, by the earlier system's commands, flags and files: make them, count them, see them.

``<cache_dir>/<dataset>/`` gets ``<split>_embeddings.fp16.npy`` float16 [N, D], ``<split>_world_tokens.int.npy`` int32
[N] and ``<split>_codebook_centroids.f32.npy`` float32 [K, D], beside the folders of the stages that make them, which
know more: camera, encoder, dataset, normalisation. Of another camera than LIBERO's scene the names say which:
``<split>_world_tokens_image2.int.npy``.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from world_modality.cli.earlier_programs import (
    VJEPA,
    add_camera,
    add_encoding,
    add_ignored,
    camera_of,
    clips_of,
    parser,
    place,
    positive,
    require_same,
    run,
    share,
    told,
    use_device,
)
from world_modality.cli.latents import SPEC, Clips, encode_latents
from world_modality.data.episodes import EpisodeTable, dataset_fingerprint, read_episode_table
from world_modality.errors import UserError
from world_modality.store.files import new_folder, write_atomically, write_json
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import TokensSpec

IGNORED = {
    "context_frames": "the encoder's clips are as long as --temporal_window says",
    "action_horizon": "no action is read",
    "future_offset": "no future is read",
    "vq_batch_size": "k-means is fitted on all sampled frames, not batch by batch",
}
"""Flags that are taken and decide nothing here, and why."""
HELD_OUT = 0.1
ITERATIONS = 25
CAMERA = "image"
"""Whose files have the earlier system's names; it knew no other camera, so others' names say whose they are."""


@dataclass(frozen=True)
class Files:
    """Where a dataset's cache has one camera's latents and tokens: the stages' folders, and the earlier files."""

    folder: Path
    split: str
    camera: str

    @property
    def latents(self) -> Path:
        """The folder of the latents stage."""
        return self.folder / f"{self.split}_latents_{self.camera}"

    @property
    def made(self) -> Path:
        """The folder of the tokens stage."""
        return self.folder / f"{self.split}_tokens_{self.camera}"

    @property
    def embeddings(self) -> Path:
        """float16 [N, D]."""
        return self._array("embeddings", "fp16")

    @property
    def tokens(self) -> Path:
        """int32 [N]."""
        return self._array("world_tokens", "int")

    @property
    def centroids(self) -> Path:
        """float32 [K, D]."""
        return self._array("codebook_centroids", "f32")

    def _array(self, name: str, kind: str) -> Path:
        own = "" if self.camera == CAMERA else f"_{self.camera}"
        return self.folder / f"{self.split}_{name}{own}.{kind}.npy"


def _files(arguments: argparse.Namespace) -> tuple[Path, Files]:
    """The dataset's folder, and what its cache has of the camera."""
    dataset, name = place(arguments)
    return dataset, Files(arguments.cache_dir / name, arguments.split, camera_of(arguments))


def _add_held_out(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--held_out", type=share, default=HELD_OUT, help="share of every task's episodes that nothing is fitted on"
    )


def precompute_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.precompute_world_tokens``."""
    flags = parser("precompute_world_tokens", "Encode a dataset, fit a codebook, and write every frame's token.")
    add_encoding(flags, model=VJEPA, about_model="folder or hub id")
    flags.add_argument("--vq_num_tokens", type=positive, default=1024)
    flags.add_argument("--vq_sample_frames", type=positive, default=200_000)
    flags.add_argument("--vq_random_state", type=int, default=0)
    flags.add_argument("--l2_normalize", action="store_true")
    _add_held_out(flags)
    add_ignored(flags, IGNORED)
    run(flags, _precompute, given)


def _precompute(arguments: argparse.Namespace) -> Iterator[str]:
    if not 2 <= arguments.vq_num_tokens <= arguments.vq_sample_frames:
        raise UserError("--vq_num_tokens must be at least 2, and at most --vq_sample_frames")
    yield from told(arguments, IGNORED)
    use_device(arguments.device)
    dataset, files = _files(arguments)
    clips = clips_of(arguments, arguments.vision_model_name)
    spec = TokensSpec(
        size=arguments.vq_num_tokens,
        l2_normalise=arguments.l2_normalize,
        seed=arguments.vq_random_state,
        iterations=ITERATIONS,
        sample=arguments.vq_sample_frames,
        held_out=arguments.held_out,
    )
    there = files.made.is_dir()
    if there:
        _require_same_tokens(files.made, dataset, clips, spec)
    else:
        _require_none(files)
    if files.latents.is_dir():
        instead = "remove it, or name another --split"
        require_same(files.latents, dataset, clips, instead=instead)
        yield f"latents      {files.latents} are there already"
    else:
        yield from encode_latents(dataset, files.latents, clips, arguments.num_workers)[:1]
    if there:
        yield f"tokens       {files.made} are there already"
    else:
        yield _make(files, dataset, spec, arguments.num_workers)
    for file in _export(files):
        yield f"written      {file}"


def _require_same_tokens(made: Path, dataset: Path, clips: Clips, spec: TokensSpec) -> None:
    """UserError unless the tokens that are there are what would be made; a run may have been killed after them."""
    from world_modality.tokens.reader import open_tokens

    cache = open_tokens(made, frames=read_episode_table(dataset).frames)
    file = made / SPEC
    there = json.loads(file.read_text()) if file.is_file() else None
    asked = (clips.camera, clips.given().spec.address(), dataset_fingerprint(dataset), spec.address())
    if (cache.camera, cache.encoder.address(), cache.dataset_fingerprint, there) != asked:
        raise UserError(
            f"{made} was made with other flags or of another dataset and is never overwritten: remove it and the files "
            "that were written from it, or name another --split"
        )


def _require_none(files: Files) -> None:
    """UserError if there are such files that no tokens here were the source of, told before hours of work."""
    for file in (files.embeddings, files.tokens, files.centroids):
        if file.exists():
            raise UserError(f"{file} exists already and is never overwritten: remove it, or name another --split")


def _make(files: Files, dataset: Path, spec: TokensSpec, cores: int) -> str:
    """Fit the codebook and give every frame its token, as the stage does; a line that says so."""
    from world_modality.tokens import stage

    work = files.made.with_name(f"{files.made.name}.work")
    inputs = {"dataset": (dataset,), "latents": (files.latents,)}
    with new_folder(files.made) as draft:
        facts = stage.run(spec, StageContext("", draft, work, work, inputs, Progress("tokens"), cores))
        write_json(draft / SPEC, spec.address())
    shutil.rmtree(work, ignore_errors=True)
    return f"tokens       {files.made}: {facts['used']} of {facts['size']} tokens are used"


def _export(files: Files) -> Iterator[Path]:
    """Write the earlier system's three files; of latents with one token per frame, as all of its were."""
    from world_modality.latents.earlier_cache import LATENTS
    from world_modality.tokens.codebook import CENTROIDS
    from world_modality.tokens.reader import CODEBOOK, TOKENS

    arrays = {
        files.embeddings: np.load(files.latents / LATENTS, mmap_mode="r")[:, 0],
        files.tokens: np.load(files.made / TOKENS)[:, 0],
        files.centroids: np.load(files.made / CODEBOOK / CENTROIDS),
    }
    for file, array in arrays.items():
        draft = file.with_name(f".{file.name}.part")
        with draft.open("wb") as out:
            np.save(out, array)
        draft.replace(file)
        yield file


def _tokens(arguments: argparse.Namespace) -> tuple[Path, EpisodeTable, NDArray[np.int32], int]:
    """The dataset, its episodes, the tokens [N, 1] in the cache, and how many different ones there can be."""
    dataset, files = _files(arguments)
    table, file = read_episode_table(dataset), files.tokens
    if not file.is_file():
        raise UserError(
            f"there is no {file}: make it with python -m world_modality.precompute_world_tokens and --image_key "
            f"{arguments.image_key}"
        )
    tokens = np.load(file, allow_pickle=False)
    if tokens.shape != (table.frames,) or not np.issubdtype(tokens.dtype, np.integer) or tokens.min() < 0:
        raise UserError(f"{file} is {tokens.dtype} {list(tokens.shape)}, not one token per frame ({table.frames})")
    known = len(np.load(files.centroids, mmap_mode="r")) if files.centroids.is_file() else 0
    return dataset, table, tokens.astype(np.int32)[:, None], max(known, int(tokens.max()) + 1)


def analyze_main(given: Sequence[str] | None = None) -> None:
    """``python -m world_modality.analyze_world_tokens``."""
    flags = parser("analyze_world_tokens", "Say how tokens are used, how long they stay, and what follows them.")
    add_camera(flags)
    flags.add_argument("--max_k", type=positive, default=8)
    flags.add_argument("--topn", type=positive, default=20)
    _add_held_out(flags)
    run(flags, _analyze, given)


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
    flags = parser("inspect_token_images", "Write pictures of frames that have a token, a grid per token.")
    add_camera(flags)
    flags.add_argument("--out_dir", type=Path, default=Path("token_inspection"))
    flags.add_argument("--num_tokens", type=positive, default=10, help="so many of the most frequent")
    flags.add_argument("--samples_per_token", type=positive, default=12)
    flags.add_argument("--resize", type=positive, default=224, help="pixels along a picture's side")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--token_ids", default="", help="these tokens instead, such as 3,17")
    run(flags, _inspect, given)


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
        FrameReader(dataset, camera_of(arguments)),
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
