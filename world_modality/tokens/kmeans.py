"""k-means of many latents on few cores: seeded on a small sample, then fitted on nested samples that grow.

Where the processor multiplies bfloat16 matrices, most iterations find the nearest centroids so, and the last ones in
float32: centroids are always means of the rows themselves. Rows are worked on in blocks of a fixed size, each by one
thread, and added up in the blocks' order. So the centroids of equal rows are equal to the last bit, whatever the number
of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

SEEDED_ON = 16  # rows per centroid of the sample that k-means++ draws from
GROWTH = 4  # each sample is so many times as large as the one before
SETTLED = 1e-3  # a sample is left once an iteration lowers the distortion by a smaller share,
CONVERGED = 1e-4  # and the whole once one does by less than this
EXACT = 1  # iterations over the whole at the end that compare in float32, whatever the processor has
BLOCK = 8192  # rows that one thread works on
WAVE = 16  # blocks that are under way at once

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]
Tell = Callable[[int, int, float], None]
"""Told after every iteration: rows of the sample, which iteration of it this was, mean squared distance per row."""


@dataclass(frozen=True)
class Fit:
    """Centroids float32 [K, D], and how they were come by."""

    centroids: Rows
    distortion: float
    """Mean squared distance of a row to the centroid that is the mean of it and others."""
    rounds: tuple[tuple[int, int], ...]
    """Rows of each sample, and iterations on it."""


def fit(rows: Rows, size: int, *, seed: int, iterations: int, threads: int, tell: Tell = lambda *_: None) -> Fit:
    """Fit ``size`` centroids to rows float32 [N, D], in any order, with at most ``iterations`` passes over all of them.

    ValueError if there are fewer rows than centroids.
    """
    if len(rows) < size:
        raise ValueError(f"{len(rows)} rows for {size} centroids")
    order = np.random.default_rng(seed).permutation(len(rows))
    rounds: list[tuple[int, int]] = []
    with _workers(threads) as pool:
        first = rows[order[: SEEDED_ON * size]]
        centroids = _plus_plus(first, size, seed)
        centre = first.mean(axis=0, dtype=np.float64).astype(np.float32)
        for number in _samples(size, len(rows)):
            whole = number == len(rows)
            sample = _Sample(rows if whole else rows[order[:number]], centre, pool)
            exact = min(EXACT if whole else 0, iterations - 1)
            done, distortion = 0, np.inf
            while done < iterations - exact:
                before, done = distortion, done + 1
                centroids, distortion = sample.improve(centroids, coarse=HAS_BFLOAT16)
                tell(number, done, distortion)
                if before - distortion <= (CONVERGED if whole else SETTLED) * distortion:
                    break
            for _ in range(exact if HAS_BFLOAT16 else 0):
                centroids, distortion = sample.improve(centroids, coarse=False)
                done += 1
                tell(number, done, distortion)
            rounds.append((number, done))
    return Fit(centroids, distortion, tuple(rounds))


def _has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices, and torch may use what it has."""
    able = torch.cpu.get_capabilities()
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


HAS_BFLOAT16 = _has_bfloat16()


def _samples(size: int, rows: int) -> Iterator[int]:
    """The sizes of the nested samples: from twice what the seeding saw, and at last all rows."""
    number = 2 * SEEDED_ON * size
    while 2 * number <= rows:
        yield number
        number *= GROWTH
    yield rows


@contextmanager
def _workers(threads: int) -> Iterator[Executor]:
    """Threads that each compute alone: how many there are must not decide how sums are rounded."""
    before = torch.get_num_threads()
    try:
        with (
            threadpool_limits(1),
            ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            yield pool
    finally:
        torch.set_num_threads(before)


def _plus_plus(rows: Rows, size: int, seed: int) -> Rows:
    """Centroids drawn from rows by k-means++: each with a probability that grows with its squared distance from those
    before it."""
    drawing = faiss.ClusteringInitialization(rows.shape[1], size)  # type: ignore[attr-defined]  # made at import
    drawing.method, drawing.seed = faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS, seed
    centroids = np.empty((size, rows.shape[1]), np.float32)
    drawing.init_centroids(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(centroids))
    return centroids


class _Sample:
    """Rows [N, D] that centroids are fitted to. Products are taken around ``centre`` [D]: where all rows lie far from
    0, what they have in common would cost digits."""

    def __init__(self, rows: Rows, centre: Rows, pool: Executor) -> None:
        self._rows, self._centre, self._pool = rows, centre, pool
        self._coarse = torch.empty(rows.shape if HAS_BFLOAT16 else (0, 0), dtype=torch.bfloat16)
        self._squares = sum(pool.map(self._prepare, range(0, len(rows), BLOCK)))

    def _prepare(self, start: int) -> float:
        """Round a block, and tell the sum of its rows' squared lengths."""
        shifted = self._rows[start : start + BLOCK] - self._centre
        if HAS_BFLOAT16:
            self._coarse[start : start + BLOCK] = torch.from_numpy(shifted)
        return float(np.einsum("nd,nd->n", shifted, shifted).sum(dtype=np.float64))

    def improve(self, centroids: Rows, *, coarse: bool) -> tuple[Rows, float]:
        """One iteration: every row to its nearest centroid, every centroid to the mean of its rows; and the mean
        squared distance that this leaves."""
        shifted = centroids - self._centre
        halves = (np.square(shifted, dtype=np.float64).sum(axis=1) / 2).astype(np.float32)
        columns = torch.from_numpy(np.ascontiguousarray(shifted.T))
        columns = columns.bfloat16() if coarse else columns

        def work(start: int) -> tuple[Labels, Labels, Rows]:
            labels = self._nearest(slice(start, start + BLOCK), columns, halves)
            order, counts = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=len(halves))
            bounds = np.concatenate([[0], np.cumsum(counts)])
            members = csr_array((np.ones(len(labels), np.float32), order, bounds), shape=(len(halves), len(labels)))
            return labels, counts, members @ self._rows[start : start + BLOCK]

        sums, counts, labels = np.zeros(centroids.shape), np.zeros(len(halves), np.int64), []
        for wave in batched(range(0, len(self._rows), BLOCK), WAVE):  # else all blocks' sums would be in memory at once
            for nearest, own, partial in self._pool.map(work, wave):
                labels.append(nearest)
                counts += own
                sums += partial
        means = sums / np.maximum(counts, 1)[:, None]
        explained = float((counts * np.square(means - self._centre).sum(axis=1)).sum())
        found = means.astype(np.float32)
        self._fill(found, counts, np.concatenate(labels))
        return found, max(self._squares - explained, 0.0) / len(self._rows)

    def _nearest(self, block: slice, columns: torch.Tensor, halves: Rows) -> Labels:
        """The nearest centroid of each row of a block, to the precision of the columns [D, K]."""
        if columns.dtype == torch.bfloat16:
            scores = torch.mm(self._coarse[block], columns).float().numpy()
        else:
            scores = torch.mm(torch.from_numpy(self._rows[block] - self._centre), columns).numpy()
        np.subtract(halves, scores, out=scores)
        labels: Labels = scores.argmin(axis=1)
        return labels

    def _fill(self, centroids: Rows, counts: Labels, labels: Labels) -> None:
        """Put centroids that have no rows at rows that are farthest from their own."""
        empty = np.flatnonzero(counts == 0)
        if not empty.size:
            return
        distances = np.empty(len(self._rows), np.float32)
        for start in range(0, len(self._rows), BLOCK):
            block = slice(start, start + BLOCK)
            change = self._rows[block] - centroids[labels[block]]
            distances[block] = np.einsum("nd,nd->n", change, change)
        centroids[empty] = self._rows[np.argsort(-distances, kind="stable")[: len(empty)]]
