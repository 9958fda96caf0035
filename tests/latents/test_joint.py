"""Several cameras' latents side by side, against numpy on the rows written next to each other."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_stages import encoder_spec
from threadpoolctl import threadpool_limits

from world_modality.errors import UserError
from world_modality.latents import joint
from world_modality.latents.cache import Moments, write_cache
from world_modality.latents.joint import JointLatents, cross_covariance, open_joint
from world_modality.latents.reader import LatentCache
from world_modality.study.specs import Camera

CAMERAS: tuple[Camera, ...] = ("image", "image2")


TOKENS = 2


def correlated(frames: int, dims: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    """Latents [frames, TOKENS, D] of each camera, far from 0, that share what they are made of."""
    rng = np.random.default_rng(seed)
    scene = rng.normal(size=(frames, TOKENS, 3))
    places = 20 + np.arange(TOKENS)[:, None]
    return [
        (places + scene @ rng.normal(size=(3, dim)) + 0.3 * rng.normal(size=(frames, TOKENS, dim))).astype(np.float16)
        for dim in dims
    ]


def cache_of(rows: np.ndarray, camera: Camera, **changes: Any) -> LatentCache:
    moments = Moments(*rows.shape[1:])
    moments.add(rows)
    fields = {"encoder": encoder_spec(), "dataset_fingerprint": "abc", **changes}
    return LatentCache(rows, moments.statistics(), camera, **fields)


def both(frames: int, dims: tuple[int, int], seed: int = 0) -> tuple[JointLatents, np.ndarray]:
    rows = correlated(frames, dims, seed)
    caches = tuple(cache_of(each, camera) for each, camera in zip(rows, CAMERAS, strict=True))
    return JointLatents(caches), np.concatenate(rows, axis=-1).astype(np.float64)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(2, 90), st.integers(0, 5))
@settings(deadline=None)
def test_mean_and_covariance_are_those_of_the_rows_side_by_side(one: int, other: int, frames: int, seed: int) -> None:
    """In parts of 17 rows, so that most caches take several."""
    latents, exact = both(frames, (one, other), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint, "ROWS_AT_ONCE", 17)
        statistics = latents.statistics()
        cross = cross_covariance(*latents.caches)
    covariance = np.mean([np.cov(exact[:, place].T, bias=True) for place in range(TOKENS)], axis=0)
    scale = np.abs(covariance).max()
    assert (statistics.mean.dtype, statistics.factor.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(statistics.mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(cross, covariance[:one, one:], atol=1e-12 * scale, rtol=1e-9)
    factor = statistics.factor.astype(np.float64)
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-5 * scale)


def test_two_cameras_that_see_the_same_are_drawn_alike() -> None:
    """The block between them is what tells this: without it, the two halves of a draw would know nothing of another."""
    (rows,) = correlated(200, (4,))
    statistics = JointLatents(tuple(cache_of(rows, camera) for camera in CAMERAS)).statistics()
    noise = statistics.mean + np.random.default_rng(0).normal(size=(50, TOKENS, 8)) @ statistics.factor.T
    np.testing.assert_allclose(noise[..., :4], noise[..., 4:], atol=5e-3)


def test_one_camera_keeps_its_caches_own_statistics_and_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint, "cross_covariance", None)
    cache = cache_of(correlated(30, (5,))[0], "image2")
    single = JointLatents((cache,))
    assert single.statistics() is cache.statistics
    assert (single.cameras, single.tokens, single.dim) == (("image2",), TOKENS, 5)


def test_rows_are_the_cameras_rows_side_by_side_in_order() -> None:
    latents, exact = both(40, (5, 3))
    index = np.array([[0, 39, 39], [7, 0, 12]])
    assert np.array_equal(latents.rows(index), exact[index].astype(np.float32))
    turned = JointLatents(latents.caches[::-1])
    assert turned.cameras == ("image2", "image")
    assert np.array_equal(turned.rows(index), exact[index][..., [5, 6, 7, 0, 1, 2, 3, 4]].astype(np.float32))


def test_the_number_of_threads_changes_no_bit() -> None:
    latents, _ = both(700, (180, 200))
    found = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            found.append(latents.statistics().factor)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


ROWS = correlated(40, (4, 4))


@pytest.mark.parametrize(
    ("rows", "camera", "changes", "message"),
    [
        (ROWS[1], "image", {}, "two latent caches are of camera image: give one cache per camera"),
        (ROWS[1], "image2", {"dataset_fingerprint": "xyz"}, "two datasets, abc with 40 frames and xyz with 40: encode"),
        (ROWS[1][:39], "image2", {}, "two datasets, abc with 40 frames and abc with 39: encode"),
        (
            ROWS[1],
            "image2",
            {"encoder": encoder_spec(frames=2, seed=1)},
            "cameras image and image2 were made by two encoders, which differ in seed, frames: encode",
        ),
    ],
)
def test_caches_that_do_not_belong_together_are_told(
    rows: np.ndarray, camera: Camera, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        JointLatents((cache_of(ROWS[0], "image"), cache_of(rows, camera, **changes)))


def test_an_encoders_folder_may_lie_anywhere(tmp_path: Path) -> None:
    """Its content is what counts; a path would refuse caches from two machines."""
    folders = []
    for rows, camera in zip(ROWS, CAMERAS, strict=True):
        spec = encoder_spec(source="folder", name=f"/on/machine/{camera}", revision="0123")
        folders.append(tmp_path / camera)
        folders[-1].mkdir()
        write_cache(folders[-1], [rows], rows.shape, camera=camera, encoder=spec, dataset_fingerprint="abc")
    assert open_joint(folders, frames=40).dim == 8
    shutil.rmtree(folders[1])
    with pytest.raises(UserError, match=rf"{folders[1]} lacks latents\.npy"):
        open_joint(folders, frames=40)
