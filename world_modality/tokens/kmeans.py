"""k-means of many latents on few cores: seeded on a small sample, then fitted on nested samples that grow.

Rows are worked on in blocks of a fixed size, each by one thread of the linear algebra, and added up in the blocks'
order. So the centroids of equal rows are equal to the last bit, whatever the number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

SEEDED_ON = 8  # rows per centroid of the sample that k-means++ draws from
GROWTH = 4  # each sample is so many times as large as the one before
SETTLED = 3e-3  # a sample is left once an iteration lowers the distortion by a smaller share,
CONVERGED = 5e-4  # and the whole once one does by less than this
BLOCK = 8192  # rows that one thread works on
WAVE = 16  # blocks that are under way at once
TILE = 1024  # of these, so many are compared with all centroids at once

Rows = NDArray[np.float32]
Tell = Callable[[int, int, float], None]
"""Told after every iteration: rows of the sample, which iteration of it this was, mean squared distance per row."""


@dataclass(frozen=True)
class Fit:
    """Centroids float32 [K, D], and how they were come by."""

    centroids: Rows
    distortion: float
    """Mean squared distance of a row to its centroid, in the last iteration's assignment."""
    rounds: tuple[tuple[int, int], ...]
    """Rows of each sample, and iterations on it."""


@dataclass(frozen=True)
class _Pass:
    """What an assignment of all rows found: sums [K, D] and counts [K] per centroid, squared distances [N]."""

    sums: NDArray[np.float64]
    counts: NDArray[np.int64]
    distances: Rows


def fit(
    rows: Rows, size: int, *, seed: int, iterations: int, threads: int, tell: Tell = lambda *_: None
) -> Fit:
    """Fit ``size`` centroids to rows float32 [N, D], in any order, with at most ``iterations`` passes over all of them.

    ValueError if there are fewer rows than centroids.
    """
    if len(rows) < size:
        raise ValueError(f"{len(rows)} rows for {size} centroids")
    order = np.random.default_rng(seed).permutation(len(rows))
    with _workers(threads) as pool:
        first = rows[order[: SEEDED_ON * size]]
        centroids, rounds, distortion = _plus_plus(first, size, seed), list[tuple[int, int]](), 0.0
        for number in _samples(size, len(rows)):
            whole = number == len(rows)
            sample = rows if whole else rows[order[:number]]
            least = CONVERGED if whole else SETTLED
            centroids, distortion, done = _lloyd(sample, centroids, iterations, least, pool, tell)
            rounds.append((number, done))
    return Fit(centroids, distortion, tuple(rounds))


def _samples(size: int, rows: int) -> Iterator[int]:
    """The sizes of the nested samples: from twice what the seeding saw, and at last all rows."""
    number = 2 * SEEDED_ON * size
    while 2 * number <= rows:
        yield number
        number *= GROWTH
    yield rows


@contextmanager
def _workers(threads: int) -> Iterator[Executor]:
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        yield pool


def _plus_plus(rows: Rows, size: int, seed: int) -> Rows:
    """Centroids drawn from rows by k-means++: each with a probability that grows with its squared distance from those
    before it."""
    drawing = faiss.ClusteringInitialization(rows.shape[1], size)
    drawing.method, drawing.seed = faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS, seed
    centroids = np.empty((size, rows.shape[1]), np.float32)
    drawing.init_centroids(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(centroids))
    return centroids


def _lloyd(
    rows: Rows, centroids: Rows, iterations: int, least: float, pool: Executor, tell: Tell
) -> tuple[Rows, float, int]:
    """Assign and average until an iteration lowers the distortion by a smaller share than ``least``."""
    before, done = np.inf, 0
    for done in range(1, iterations + 1):
        found = _assign(rows, centroids, pool)
        distortion = float(found.distances.mean(dtype=np.float64))
        centroids = _averages(rows, found)
        tell(len(rows), done, distortion)
        if before - distortion <= least * distortion:
            break
        before = distortion
    return centroids, distortion, done


def _averages(rows: Rows, found: _Pass) -> Rows:
    """The mean of each centroid's rows; one without any becomes a row that is farthest from its own."""
    centroids = (found.sums / np.maximum(found.counts, 1)[:, None]).astype(np.float32)
    empty = np.flatnonzero(found.counts == 0)
    farthest = np.argsort(-found.distances, kind="stable")[: len(empty)]
    centroids[empty] = rows[farthest]
    return centroids


def _assign(rows: Rows, centroids: Rows, pool: Executor) -> _Pass:
    """Every row to its nearest centroid, block by block."""
    centre = centroids.mean(axis=0, dtype=np.float64).astype(np.float32)  # costs no digits where all are far from 0
    shifted = centroids - centre
    halves = (np.square(shifted, dtype=np.float64).sum(axis=1) / 2).astype(np.float32)
    columns = np.ascontiguousarray(shifted.T)

    def work(start: int) -> tuple[NDArray[np.int64], Rows, Rows]:
        block = rows[start : start + BLOCK]
        nearest, distances = _nearest(block, centre, columns, halves)
        order = np.argsort(nearest, kind="stable")
        counts = np.bincount(nearest, minlength=len(halves))
        bounds = np.concatenate([[0], np.cumsum(counts)])
        members = csr_array((np.ones(len(block), np.float32), order, bounds), shape=(len(halves), len(block)))
        return counts, members @ block, distances

    sums, counts = np.zeros(centroids.shape), np.zeros(len(halves), np.int64)
    distances = []
    for wave in batched(range(0, len(rows), BLOCK), WAVE):  # else the sums of all blocks would be in memory at once
        for own, partial, far in pool.map(work, wave):
            counts += own
            sums += partial
            distances.append(far)
    return _Pass(sums, counts, np.concatenate(distances))


def _nearest(block: Rows, centre: Rows, columns: Rows, halves: Rows) -> tuple[NDArray[np.int64], Rows]:
    """The nearest centroid of each row of a block and its squared distance, to float32's precision."""
    nearest, distances = np.empty(len(block), np.int64), np.empty(len(block), np.float32)
    for start in range(0, len(block), TILE):
        part = slice(start, start + TILE)
        shifted = block[part] - centre
        scores = shifted @ columns
        np.subtract(halves, scores, out=scores)
        nearest[part] = scores.argmin(axis=1)
        best = np.take_along_axis(scores, nearest[part, None], axis=1)[:, 0]
        distances[part] = np.maximum(2 * best + np.einsum("nd,nd->n", shifted, shifted), 0)
    return nearest, distances
