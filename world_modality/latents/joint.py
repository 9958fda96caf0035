"""Several cameras' latents of the same frames, side by side: do they belong together, and how do they vary together?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from world_modality.errors import UserError
from world_modality.latents.cache import TOKENS_AT_ONCE, LatentStatistics, Moments, factor_of
from world_modality.latents.reader import LatentCache, open_latents
from world_modality.latents.windows import EpisodeBounds
from world_modality.study.specs import EncoderSpec

ROWS_AT_ONCE = 16384  # of a few tokens each; both bound memory, and fix the order of summation


@dataclass(frozen=True)
class JointLatents:
    """One cache per camera. P tokens of W numbers stand for a frame: the cameras' side by side, in the caches' order.

    Raises:
        UserError: two caches are of one camera, or they were not made of one dataset by one encoder.
    """

    caches: tuple[LatentCache, ...]

    def __post_init__(self) -> None:
        for one, other in combinations(self.caches, 2):
            _require_pair(one, other)

    @property
    def cameras(self) -> tuple[str, ...]:
        """The caches' cameras, in their order."""
        return tuple(cache.camera for cache in self.caches)

    @property
    def tokens(self) -> int:
        """P."""
        return self.caches[0].tokens

    @property
    def dim(self) -> int:
        """W."""
        return sum(cache.dim for cache in self.caches)

    @property
    def encoder(self) -> EncoderSpec:
        """What made all of them."""
        return self.caches[0].encoder

    @property
    def dataset_fingerprint(self) -> str:
        """What all of them were made of."""
        return self.caches[0].dataset_fingerprint

    def rows(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Latents of frames ``index`` [...] as float32 [..., P, W]."""
        return np.concatenate([cache.rows(index) for cache in self.caches], axis=-1)

    def statistics(self, episodes: EpisodeBounds | None = None) -> LatentStatistics:
        """Means [P, W] and covariance factor [W, W] of all rows, or of those of ``episodes``, which are then read.

        Of all rows, a single cache's are its own, and several caches are read once as a whole.

        The covariance's diagonal blocks are those that the caches hold; the blocks between two cameras are computed by
        one thread, so that sums are rounded alike whatever the number of cores.
        """
        if episodes is not None:
            return self._statistics_of(episodes)
        if len(self.caches) == 1:
            return self.caches[0].statistics
        with threadpool_limits(1, user_api="blas"):
            factor = factor_of(self._covariance())
        return LatentStatistics(np.concatenate([cache.statistics.mean for cache in self.caches], axis=-1), factor)

    def _statistics_of(self, episodes: EpisodeBounds) -> LatentStatistics:
        moments = Moments(self.tokens, self.dim)
        with threadpool_limits(1, user_api="blas"):
            for start, end in zip(episodes.starts, episodes.ends, strict=True):
                moments.add(np.concatenate([cache.latents[start:end] for cache in self.caches], axis=-1))
            return moments.statistics()

    def _covariance(self) -> NDArray[np.float64]:
        ends = np.cumsum([cache.dim for cache in self.caches]).tolist()
        places = [(slice(end - cache.dim, end), cache) for end, cache in zip(ends, self.caches, strict=True)]
        covariance = np.zeros((self.dim, self.dim))
        for place, cache in places:
            factor = cache.statistics.factor.astype(np.float64)
            covariance[place, place] = factor @ factor.T
        for (rows, one), (columns, other) in combinations(places, 2):
            covariance[rows, columns] = cross_covariance(one, other)
            covariance[columns, rows] = covariance[rows, columns].T
        return covariance


def open_joint(folders: Sequence[Path], *, frames: int) -> JointLatents:
    """Open and check one cache per camera, each of a dataset with ``frames`` frames; UserError as for a single one."""
    return JointLatents(tuple(open_latents(folder, frames=frames) for folder in folders))


def cross_covariance(one: LatentCache, other: LatentCache) -> NDArray[np.float64]:
    """Population covariance [D, E] between two caches' tokens of the same frames and places, read part by part."""
    products = np.zeros((one.dim, other.dim))
    sum_one, sum_other = np.zeros((one.tokens, one.dim)), np.zeros((other.tokens, other.dim))
    frames, tokens = len(one.latents), one.tokens
    step = max(1, min(ROWS_AT_ONCE, TOKENS_AT_ONCE // tokens))
    for start in range(0, frames, step):
        # Around the stored means, so that no digits are lost to latents far from 0.
        a, b = (
            cache.latents[start : start + step].astype(np.float64) - cache.statistics.mean for cache in (one, other)
        )
        products += a.reshape(-1, one.dim).T @ b.reshape(-1, other.dim)
        sum_one += a.sum(axis=0)
        sum_other += b.sum(axis=0)
    return products / (frames * tokens) - (sum_one / frames).T @ (sum_other / frames) / tokens


def _require_pair(one: LatentCache, other: LatentCache) -> None:
    if one.camera == other.camera:
        raise UserError(f"two latent caches are of camera {one.camera}: give one cache per camera")
    both = f"the latents of cameras {one.camera} and {other.camera} were made"
    if (one.dataset_fingerprint, len(one.latents)) != (other.dataset_fingerprint, len(other.latents)):
        raise UserError(
            f"{both} of two datasets, {one.dataset_fingerprint} with {len(one.latents)} frames and "
            f"{other.dataset_fingerprint} with {len(other.latents)}: encode both cameras of one dataset"
        )
    first, second = one.encoder.address(), other.encoder.address()
    differing = ", ".join(name for name in first if first[name] != second[name])
    if differing:
        raise UserError(f"{both} by two encoders, which differ in {differing}: encode both cameras with one encoder")
