"""Stage "tokens": a codebook of one camera's latents, every frame's tokens, and what is known of them without a model.

``codebook/``        see codebook.py; fitted on training episodes alone
``tokens.npy``       int32 [N, P], memory-mappable, row = the frame's global ``index``
``tokens.json``      shape, camera, encoder specification, dataset fingerprint, held-out episodes
``statistics.json``  how the codebook was fitted, how its tokens are used, and their baselines
``grids/``           pictures of frames that have one of the most frequent tokens
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.data.episodes import read_episode_table
from world_modality.data.frames import FrameReader, encode_png
from world_modality.errors import UserError
from world_modality.latents.reader import LatentCache, open_latents
from world_modality.latents.windows import EpisodeBounds
from world_modality.store.files import empty_folder, write_atomically, write_json
from world_modality.store.keys import keyed_seed
from world_modality.store.progress import Progress
from world_modality.store.stage import TIMING, Facts, StageContext
from world_modality.study.specs import TokensSpec
from world_modality.tokens.baselines import Usage, frames_of, token_figures
from world_modality.tokens.codebook import ROWS_AT_ONCE, Codebook, prepared, write_codebook
from world_modality.tokens.grids import token_grids
from world_modality.tokens.kmeans import Fit, fit
from world_modality.tokens.reader import CODEBOOK, DESCRIPTION, GRIDS, STATISTICS, TOKENS
from world_modality.tokens.shares import Shares

GRID_TOKENS, GRID_FRAMES, GRID_PIXELS = 8, 8, 72


def run(spec: TokensSpec, context: StageContext) -> Facts:
    """Fit the codebook, assign every frame, and look at the tokens.

    Raises:
        UserError: the cache does not fit the dataset, or has fewer latents of training episodes than the codebook has
            centroids.
    """
    dataset = context.one("dataset")
    table, shares = read_episode_table(dataset), Shares.of(dataset, spec.held_out)
    cache = open_latents(context.one("latents"), frames=table.frames)
    begun = time.monotonic()
    codebook, fitted, fitted_on = fit_codebook(spec, cache, shares.trained, context.cores, context.progress)
    seconds = time.monotonic() - begun
    tokens = assign_all(codebook, cache.latents)
    empty_folder(context.artifact)
    write_codebook(context.artifact / CODEBOOK, codebook)
    np.save(context.artifact / TOKENS, tokens)
    figures = token_figures(tokens, spec.size, shares.trained, shares.judged)
    write_json(context.artifact / DESCRIPTION, _description(cache, shares, spec.size))
    write_json(context.artifact / STATISTICS, {**_fit_figures(fitted, fitted_on, shares), **figures})
    _write_grids(context.artifact / GRIDS, FrameReader(dataset, cache.camera), tokens, spec)
    write_json(context.volatile / TIMING, {"fit_seconds": round(seconds, 1)})
    return {
        "frames": table.frames,
        "tokens": cache.tokens,
        "size": spec.size,
        **{name: figures[name] for name in ("used", "dead")},
    }


def fit_codebook(
    spec: TokensSpec, cache: LatentCache, trained: EpisodeBounds, cores: int, progress: Progress
) -> tuple[Codebook, Fit, NDArray[np.int64]]:
    """The codebook of a cache, how it was fitted, and the frames it was fitted on: some of the training episodes'.

    UserError if these have fewer latents than the codebook has centroids.
    """
    frames = drawn_frames(trained, max(1, spec.sample // cache.tokens), spec.seed)
    if len(frames) * cache.tokens < spec.size:
        raise UserError(
            f"tokens.size: {spec.size} codes are fitted on {len(frames) * cache.tokens} latents of training episodes, "
            "and need one each at least: choose a smaller size, or gather more data"
        )
    rows = np.empty((len(frames), cache.tokens, cache.dim), np.float32)
    for start in range(0, len(frames), ROWS_AT_ONCE):
        part = cache.latents[frames[start : start + ROWS_AT_ONCE]].reshape(-1, cache.dim)
        ready = prepared(part, l2_normalised=spec.l2_normalise)
        rows[start : start + ROWS_AT_ONCE] = ready.reshape(-1, cache.tokens, cache.dim)

    def tell(sample: int, iteration: int, distortion: float) -> None:
        progress.update(iteration, spec.iterations, "iterations", f"{sample} latents, distortion {distortion:.5g}")

    found = fit(
        rows.reshape(-1, cache.dim), spec.size, seed=spec.seed, iterations=spec.iterations, threads=cores, tell=tell
    )
    return Codebook(found.centroids, spec.l2_normalise), found, frames


def drawn_frames(trained: EpisodeBounds, number: int, seed: int) -> NDArray[np.int64]:
    """At most ``number`` frames of training episodes, drawn and sorted."""
    frames = frames_of(trained)
    if len(frames) <= number:
        return frames
    generator = np.random.default_rng(keyed_seed("codebook frames", seed))
    return np.sort(generator.choice(frames, number, replace=False))


def assign_all(codebook: Codebook, latents: NDArray[np.float16]) -> NDArray[np.int32]:
    """Tokens int32 [N, P] of a cache's latents [N, P, D], read part by part."""
    tokens = np.empty(latents.shape[:2], np.int32)
    for start in range(0, len(latents), ROWS_AT_ONCE):
        tokens[start : start + ROWS_AT_ONCE] = codebook.assign(latents[start : start + ROWS_AT_ONCE])
    return tokens


def _description(cache: LatentCache, shares: Shares, size: int) -> dict[str, Any]:
    return {
        "frames": len(cache.latents),
        "tokens": cache.tokens,
        "size": size,
        "camera": cache.camera,
        "encoder": cache.encoder.address(),
        "dataset_fingerprint": cache.dataset_fingerprint,
        "held_out": list(shares.held_out),
    }


def _fit_figures(fitted: Fit, frames: NDArray[np.int64], shares: Shares) -> dict[str, Any]:
    return {
        "fitted_on_frames": len(frames),
        "fitted_on_episodes": len(np.unique(shares.trained.find(frames))),
        "rounds": [list(each) for each in fitted.rounds],
        "distortion": fitted.distortion,
        "held_out": bool(shares.held_out),
        "judged_episodes": len(shares.judged.starts),
        "judged_frames": int((shares.judged.ends - shares.judged.starts).sum()),
    }


def _write_grids(folder: Path, reader: FrameReader, tokens: NDArray[np.int32], spec: TokensSpec) -> None:
    wanted = [token for token, _ in Usage.of(tokens, spec.size).most_frequent(GRID_TOKENS)]
    for grid in token_grids(
        reader, tokens, wanted, number=GRID_FRAMES, columns=GRID_FRAMES, pixels=GRID_PIXELS, seed=spec.seed
    ):
        write_atomically(folder / f"token_{grid.token:05d}.png", encode_png(grid.picture))
