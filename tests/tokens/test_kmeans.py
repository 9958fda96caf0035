"""k-means: as good as scikit-learn's, the same bytes whatever the cores, and no centroid without rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from world_modality.tokens import kmeans
from world_modality.tokens.kmeans import fit


def overlapping(rows: int, dim: int, components: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = 1.5 * generator.standard_normal((components, dim))
    own = generator.integers(components, size=rows)
    return (centres[own] + generator.standard_normal((rows, dim))).astype(np.float32)


def inertia(rows: np.ndarray, centroids: np.ndarray) -> float:
    distances = [np.square(rows - centroid).sum(axis=1) for centroid in centroids]
    return float(np.min(distances, axis=0).mean(dtype=np.float64))


def test_it_is_as_good_as_scikit_learns() -> None:
    rows = overlapping(20_000, 12, 40, 0)
    found = fit(rows, 32, seed=0, iterations=50, threads=2)
    theirs = KMeans(32, n_init=1, init="k-means++", max_iter=300, random_state=0).fit(rows)
    mine = inertia(rows, found.centroids)
    assert mine <= 1.01 * inertia(rows, theirs.cluster_centers_)
    assert found.distortion == pytest.approx(mine, rel=0.01)
    assert [rows for rows, _ in found.rounds] == [1024, 4096, 20_000]


def test_equal_rows_make_equal_bytes_whatever_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "BLOCK", 512)
    rows = overlapping(6_000, 24, 30, 1)
    found = [fit(rows, 64, seed=3, iterations=9, threads=threads) for threads in (1, 2, 5, 1)]
    assert len({each.centroids.tobytes() for each in found}) == 1
    assert len({(each.distortion, each.rounds) for each in found}) == 1
    other = fit(rows, 64, seed=4, iterations=9, threads=1)
    assert other.centroids.tobytes() != found[0].centroids.tobytes()


def test_separate_clusters_are_found() -> None:
    generator = np.random.default_rng(0)
    centres = 100 * generator.standard_normal((25, 6))
    rows = (np.repeat(centres, 40, axis=0) + 0.1 * generator.standard_normal((1000, 6))).astype(np.float32)
    found = fit(rows, 25, seed=1, iterations=25, threads=1)
    assert inertia(rows, found.centroids) < 0.1  # 25 centroids, one of each cluster
    assert found.centroids.dtype == np.float32


def test_a_centroid_that_lost_its_rows_gets_others() -> None:
    rows = np.concatenate([np.zeros((500, 2)), np.ones((500, 2)), np.full((3, 2), 50.0)]).astype(np.float32)
    found = fit(rows, 3, seed=0, iterations=10, threads=1)
    assert inertia(rows, found.centroids) == 0


def test_rows_that_are_all_equal_are_no_reason_to_fail() -> None:
    found = fit(np.full((50, 4), 2.5, np.float32), 8, seed=0, iterations=10, threads=1)
    assert np.array_equal(found.centroids, np.full((8, 4), 2.5, np.float32))
    assert found.distortion == 0


def test_as_many_centroids_as_rows_are_the_rows() -> None:
    rows = overlapping(20, 3, 5, 0)
    found = fit(rows, 20, seed=0, iterations=10, threads=1)
    assert {row.tobytes() for row in found.centroids} == {row.tobytes() for row in rows}
    with pytest.raises(ValueError, match="20 rows for 21 centroids"):
        fit(rows, 21, seed=0, iterations=10, threads=1)


def test_every_iteration_is_told() -> None:
    told: list[tuple[int, int, float]] = []
    found = fit(
        overlapping(3000, 4, 10, 0), 10, seed=0, iterations=30, threads=1, tell=lambda *facts: told.append(facts)
    )
    assert [(rows, last) for rows, last in found.rounds] == [
        (rows, max(number for size, number, _ in told if size == rows)) for rows, _ in found.rounds
    ]
    assert told[-1][2] == found.distortion
