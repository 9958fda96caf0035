"""How long a codebook takes beside scikit-learn's k-means, and how good it is: ``make bench-vq``.

One fixed mixture of overlapping components: coordinate j of centres and of noise has a standard deviation that falls as
j^(-1/2), so that some thirty directions count, as in latents; components differ in weight. All are fitted on the same
rows and judged by one function: the mean squared distance of all rows to their nearest centroid, in float64.

The lines to read begin with ``BENCH vq``. It ends with status 1 if KMeans takes less than ten times as long, or
ours has over 0.5% more inertia than KMeans.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans

from world_modality.store.machine import versions
from world_modality.tokens.kmeans import HAS_BFLOAT16, fit

Rows = NDArray[np.float32]
SEPARATION = 0.5  # of centres, in deviations of the noise
AT_ONCE = 8192
ITERATIONS = 25  # as a study's by default
RATIO = 10.0  # KMeans takes so many times as long, at least
ABOVE = 0.5  # percent of inertia above KMeans's, at most


@dataclass(frozen=True)
class Result:
    """What one program took, and its mean squared distance over all rows."""

    name: str
    seconds: float
    processor: float
    """Seconds of all its threads: what others do on the machine counts less in them."""
    inertia: float


def mixture(rows: int, dim: int, components: int, seed: int) -> tuple[Rows, Rows, NDArray[np.int64]]:
    """Rows [N, D], the components' centres [K, D] and which component each row is of."""
    generator = np.random.default_rng(seed)
    scale = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    centres = SEPARATION * scale * generator.standard_normal((components, dim), np.float32)
    weights = np.exp(0.5 * generator.standard_normal(components))
    own = generator.choice(components, rows, p=weights / weights.sum())
    drawn = np.empty((rows, dim), np.float32)
    for start in range(0, rows, AT_ONCE):
        part = own[start : start + AT_ONCE]
        noise = generator.standard_normal((len(part), dim), np.float32)
        drawn[start : start + len(part)] = centres[part] + scale * noise
    return drawn, centres, own


def nearest(rows: Rows, centroids: Rows) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Part by part, the nearest centroid of each row, and its squared distance in float64."""
    halves = np.square(centroids, dtype=np.float64).sum(axis=1) / 2
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        own = (halves.astype(np.float32) - part @ centroids.T).argmin(axis=1)
        yield own, np.square(part.astype(np.float64) - centroids[own]).sum(axis=1)


def inertia(rows: Rows, centroids: Rows) -> float:
    """Mean squared distance of rows to their nearest centroids."""
    return sum(float(distances.sum()) for _, distances in nearest(rows, centroids)) / len(rows)


def overlap(rows: Rows, centres: Rows, own: NDArray[np.int64]) -> float:
    """Share of rows that are nearer to another component's centre than to their own's."""
    found = np.concatenate([nearest for nearest, _ in nearest(rows, centres)])
    return float((found != own).mean())


def timed(name: str, rows: Rows, judged: Rows, work: Callable[[Rows], tuple[Rows, str]]) -> Result:
    """Fit on ``rows``; judge on ``judged``, outside the time."""
    begun, used = time.perf_counter(), time.process_time()
    centroids, note = work(rows)
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    found = Result(name, seconds, processor, inertia(judged, centroids))
    told = f"{seconds:9.1f} s {processor:9.1f} CPU-s  inertia {found.inertia:.6f}  load {os.getloadavg()[0]:.1f}"
    print(f"{name:<16} {len(rows)} rows  {told}  {note}", flush=True)
    return found


def ours(size: int, threads: int, seed: int) -> Callable[[Rows], tuple[Rows, str]]:
    """The stage's own."""

    def work(rows: Rows) -> tuple[Rows, str]:
        found = fit(rows, size, seed=seed, iterations=ITERATIONS, threads=threads)
        return found.centroids, " ".join(f"{rows}x{iterations}" for rows, iterations in found.rounds)

    return work


def theirs(kind: type, size: int, seed: int, **settings: object) -> Callable[[Rows], tuple[Rows, str]]:
    """scikit-learn's."""

    def work(rows: Rows) -> tuple[Rows, str]:
        model = kind(n_clusters=size, random_state=seed, **settings).fit(rows)
        return model.cluster_centers_, f"{model.n_iter_} iterations"

    return work


@dataclass(frozen=True)
class Against:
    """KMeans beside ours on the same rows, which may be fewer than all."""

    rows: int
    mine: Result
    theirs: Result
    growth: float
    """The power of the rows that KMeans's time grows with; nan if it was timed on all of them."""

    def seconds(self, rows: int) -> float:
        """KMeans's time for so many rows, extrapolated if it was timed on fewer."""
        return self.theirs.seconds * (rows / self.rows) ** (0 if math.isnan(self.growth) else self.growth)


def compare(rows: Rows, mine: Result, options: argparse.Namespace) -> Against:
    """Time KMeans on all rows, or on some of them and on half of those."""
    full = theirs(KMeans, options.size, options.seed, n_init=1, init="k-means++", max_iter=300)
    if options.sklearn_rows is None:
        return Against(len(rows), mine, timed("KMeans", rows, rows, full), math.nan)
    part = rows[: options.sklearn_rows]
    half = timed("KMeans", part[: len(part) // 2], part, full)
    whole = timed("KMeans", part, part, full)
    same = timed("ours", part, part, ours(options.size, options.threads, options.seed))
    return Against(len(part), same, whole, math.log2(whole.seconds / half.seconds))


def missed(ratio: float, above: float) -> list[str]:
    """What misses its target: KMeans's time over ours on the same rows, and ours' inertia above its in percent."""
    slow = [] if ratio >= RATIO else [f"ratio {ratio:.2f} is below {RATIO:g}"]
    return slow if above <= ABOVE else [*slow, f"inertia is {above:.3f}% above KMeans's, more than {ABOVE:g}%"]


def main() -> int:
    """Run all three and print the figures; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=273_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--sklearn-rows", type=int, help="time KMeans on so many rows and on half of them, not on all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    rows, centres, own = mixture(options.rows, options.dim, options.size, seed=12345)
    print(f"{options.rows} rows of {options.dim}, {options.size} centroids, {options.threads} threads")
    print(f"components overlap: {100 * overlap(rows, centres, own):.1f}% of rows are nearer to another one's centre")
    mine = timed("ours", rows, rows, ours(options.size, options.threads, options.seed))
    mini = timed("MiniBatchKMeans", rows, rows, theirs(MiniBatchKMeans, options.size, options.seed, n_init=1))
    against = compare(rows, mine, options)
    seconds = against.seconds(options.rows)
    ratio, timed_ratio = seconds / mine.seconds, against.theirs.seconds / against.mine.seconds
    above = 100 * (against.mine.inertia / against.theirs.inertia - 1)
    print(
        f"BENCH vq rows={options.rows} dim={options.dim} size={options.size} ours_s={mine.seconds:.1f} "
        f"kmeans_s={seconds:.1f} minibatch_s={mini.seconds:.1f}"
    )
    print(
        f"BENCH vq ratio={ratio:.2f} ratio_minibatch={mini.seconds / mine.seconds:.2f} "
        f"inertia_above_kmeans_percent={above:.3f} "
        f"inertia_above_minibatch_percent={100 * (mine.inertia / mini.inertia - 1):.3f}"
    )
    print(
        f"BENCH vq kmeans_rows={against.rows} kmeans_grows_as_rows_to={against.growth:.2f} "
        f"ratio_on_these={timed_ratio:.2f} "
        f"cpu_ratio_on_these={against.theirs.processor / against.mine.processor:.2f}"
    )
    found = versions(("faiss-cpu", "numpy", "scikit-learn", "torch"))
    packages = " ".join(f"{name}={version}" for name, version in found.items())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"BENCH vq bfloat16={HAS_BFLOAT16} peak_gib={peak:.2f} {packages}")
    wrong = missed(timed_ratio, above)  # what was timed on the same rows, not what is extrapolated
    print("\n".join(f"BENCH vq missed: {each}" for each in wrong) or "BENCH vq both targets are met")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
