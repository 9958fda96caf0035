import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_stages import encoder_spec

from world_modality.errors import UserError
from world_modality.latents.cache import Moments, write_cache
from world_modality.latents.reader import open_latents


def write(folder: Path, rows: np.ndarray, cuts: tuple[int, ...] = ()) -> Path:
    write_cache(
        folder,
        np.split(rows, cuts),
        (len(rows), rows.shape[1]),
        camera="image2",
        encoder=encoder_spec(),
        dataset_fingerprint="abc",
    )
    return folder


def random_rows(frames: int = 40, dim: int = 6, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (3 + rng.normal(size=(frames, dim)) @ rng.normal(size=(dim, dim))).astype(np.float16)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = random_rows()
    cache = open_latents(write(tmp_path, rows, (7, 20)), frames=40)
    assert np.array_equal(cache.latents, rows)
    assert isinstance(cache.latents, np.memmap)
    assert not cache.latents.flags.writeable
    assert (cache.camera, cache.encoder, cache.dataset_fingerprint, cache.dim) == ("image2", encoder_spec(), "abc", 6)
    picked = cache.rows(np.array([[3, 3], [39, 0]]))
    assert picked.dtype == np.float32
    assert np.array_equal(picked, rows[[[3, 3], [39, 0]]].astype(np.float32))


@given(st.integers(1, 12), st.integers(2, 60), st.integers(0, 5))
@settings(deadline=None)
def test_statistics_match_numpy_whatever_the_parts(dim: int, frames: int, seed: int) -> None:
    rows = random_rows(frames, dim, seed)
    moments = Moments(dim)
    for part in np.array_split(rows, min(frames, 4)):
        moments.add(part)
    statistics = moments.statistics()
    exact = rows.astype(np.float64)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(statistics.mean, exact.mean(0), atol=1e-5 * scale)
    covariance = np.cov(exact.T, bias=True).reshape(dim, dim)
    factor = statistics.factor.astype(np.float64)
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-5 * scale**2)


def test_noise_made_from_the_statistics_has_their_mean_and_covariance(tmp_path: Path) -> None:
    rows = random_rows(400)
    statistics = open_latents(write(tmp_path, rows), frames=400).statistics
    noise = statistics.mean + np.random.default_rng(0).normal(size=(50_000, 6)) @ statistics.factor.T
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(noise.mean(0), exact.mean(0), atol=0.1)
    np.testing.assert_allclose(np.cov(noise.T), np.cov(exact.T), atol=0.05 * np.cov(exact.T).max())


def test_a_folder_source_leaves_no_path_in_the_cache(tmp_path: Path) -> None:
    spec = encoder_spec(source="folder", name="/home/somebody/encoder", revision="0123")
    write_cache(tmp_path, [random_rows()], (40, 6), camera="image", encoder=spec, dataset_fingerprint="abc")
    assert "somebody" not in (tmp_path / "latents.json").read_text()
    assert open_latents(tmp_path, frames=40).encoder.address() == spec.address()


@pytest.mark.defect("B2")
def test_rows_that_do_not_fill_the_cache_or_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="39 latents for 40 frames"):
        write_cache(
            tmp_path, [random_rows(39)], (40, 6), camera="image", encoder=encoder_spec(), dataset_fingerprint=""
        )
    broken = random_rows()
    broken[5, 2] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        write(tmp_path, broken)


def test_a_damaged_or_foreign_cache_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, random_rows())
    with pytest.raises(UserError, match=r"needs float16 \[41, 6\]"):
        open_latents(folder, frames=41)
    latents = np.load(folder / "latents.npy")
    latents[39, 5] = np.nan
    np.save(folder / "latents.npy", latents)
    with pytest.raises(UserError, match="not finite"):
        open_latents(folder, frames=40)
    (folder / "statistics.npz").unlink()
    with pytest.raises(UserError, match=r"lacks statistics\.npz"):
        open_latents(folder, frames=40)


def test_description_is_json_for_people(tmp_path: Path) -> None:
    description = json.loads((write(tmp_path, random_rows()) / "latents.json").read_text())
    assert description["frames"] == 40
    assert description["encoder"]["frames"] == 4
