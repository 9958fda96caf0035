import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_stages import encoder_spec

from world_modality.errors import UserError
from world_modality.latents import cache
from world_modality.latents.cache import Moments, write_cache
from world_modality.latents.reader import open_latents


def write(folder: Path, rows: np.ndarray, cuts: tuple[int, ...] = ()) -> Path:
    write_cache(
        folder,
        np.split(rows, cuts),
        rows.shape,
        camera="image2",
        encoder=encoder_spec(),
        dataset_fingerprint="abc",
    )
    return folder


def random_rows(frames: int = 40, dim: int = 6, seed: int = 0, tokens: int = 1) -> np.ndarray:
    """Each token varies alike around a mean of its own."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(frames, tokens, dim)) @ rng.normal(size=(dim, dim))
    return (3 + np.arange(tokens)[:, None] + noise).astype(np.float16)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = random_rows(tokens=3)
    cache = open_latents(write(tmp_path, rows, (7, 20)), frames=40)
    assert np.array_equal(cache.latents, rows)
    assert isinstance(cache.latents, np.memmap)
    assert not cache.latents.flags.writeable
    assert (cache.camera, cache.encoder, cache.dataset_fingerprint) == ("image2", encoder_spec(), "abc")
    assert (cache.tokens, cache.dim) == (3, 6)
    picked = cache.rows(np.array([[3, 3], [39, 0]]))
    assert picked.dtype == np.float32
    assert np.array_equal(picked, rows[[[3, 3], [39, 0]]].astype(np.float32))


@given(st.integers(1, 12), st.integers(2, 60), st.integers(0, 5), st.integers(1, 3))
@settings(deadline=None)
def test_statistics_match_numpy_whatever_the_parts(dim: int, frames: int, seed: int, tokens: int) -> None:
    rows = random_rows(frames, dim, seed, tokens)
    moments = Moments(tokens, dim)
    for part in np.array_split(rows, min(frames, 4)):
        moments.add(part)
    statistics = moments.statistics()
    exact = rows.astype(np.float64)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(statistics.mean, exact.mean(0), atol=1e-5 * scale)
    covariance = np.mean([np.cov(exact[:, p].T, bias=True).reshape(dim, dim) for p in range(tokens)], axis=0)
    factor = statistics.factor.astype(np.float64)
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-5 * scale**2)


def test_noise_made_from_the_statistics_has_their_mean_and_covariance(tmp_path: Path) -> None:
    rows = random_rows(400, tokens=3)
    statistics = open_latents(write(tmp_path, rows), frames=400).statistics
    noise = statistics.mean + np.random.default_rng(0).normal(size=(50_000, 3, 6)) @ statistics.factor.T
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(noise.mean(0), exact.mean(0), atol=0.1)
    centred, drawn = ((x - x.mean(0)).reshape(-1, 6) for x in (exact, noise))
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(centred.T), atol=0.05 * np.cov(centred.T).max())


def test_a_folder_source_leaves_no_path_in_the_cache(tmp_path: Path) -> None:
    spec = encoder_spec(source="folder", name="/home/somebody/encoder", revision="0123")
    write_cache(tmp_path, [random_rows()], (40, 1, 6), camera="image", encoder=spec, dataset_fingerprint="abc")
    assert "somebody" not in (tmp_path / "latents.json").read_text()
    assert open_latents(tmp_path, frames=40).encoder.address() == spec.address()


@pytest.mark.defect("B2")
def test_rows_that_do_not_fill_the_cache_or_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="39 latents for 40 frames"):
        write_cache(
            tmp_path, [random_rows(39)], (40, 1, 6), camera="image", encoder=encoder_spec(), dataset_fingerprint=""
        )
    broken = random_rows()
    broken[5, 0, 2] = np.inf
    with pytest.raises(UserError, match=r"vjepa2-small, computing in float32, .* of 1 frames between 5 and 5: let it"):
        write(tmp_path, broken)


def test_a_damaged_or_foreign_cache_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, random_rows())
    with pytest.raises(UserError, match=r"needs float16 \[41, 1, 6\]"):
        open_latents(folder, frames=41)
    latents = np.load(folder / "latents.npy")
    latents[39, 0, 5] = np.nan
    np.save(folder / "latents.npy", latents)
    with pytest.raises(UserError, match="not finite"):
        open_latents(folder, frames=40)
    (folder / "statistics.npz").unlink()
    with pytest.raises(UserError, match=r"lacks statistics\.npz"):
        open_latents(folder, frames=40)


DAMAGED = {
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-30]),
    "no_factor": lambda file: np.savez(file, mean=np.zeros((1, 6), np.float32)),
    "narrow": lambda file: np.savez(file, mean=np.zeros((1, 5), np.float32), factor=np.eye(6, dtype=np.float32)),
    "infinite": lambda file: np.savez(
        file, mean=np.zeros((1, 6), np.float32), factor=np.full((6, 6), np.inf, np.float32)
    ),
    "an_array": lambda file: np.save(file.open("wb"), np.zeros(6)),
    "objects": lambda file: np.savez(file, mean=np.array([{}]), factor=np.eye(6, dtype=np.float32)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_statistics_are_told(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path, random_rows())
    DAMAGED[damage](folder / "statistics.npz")
    with pytest.raises(UserError, match=r"statistics\.npz.*: run the latents stage again$") as told:
        open_latents(folder, frames=40)
    assert "\n" not in str(told.value)


def test_description_is_json_for_people(tmp_path: Path) -> None:
    description = json.loads((write(tmp_path, random_rows()) / "latents.json").read_text())
    assert description["frames"] == 40
    assert description["encoder"]["frames"] == 4


@pytest.mark.parametrize("tokens", [1, 4, 64])
def test_statistics_of_many_tokens_are_taken_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    """Whatever the parts, they are numpy's; a part holds no more tokens than it may."""
    rows = np.random.default_rng(0).normal(3, 2, (23, tokens, 5)).astype(np.float16)
    monkeypatch.setattr(cache, "TOKENS_AT_ONCE", 10)
    moments = cache.Moments(tokens, 5)
    sizes: list[int] = []
    add = moments._add
    monkeypatch.setattr(moments, "_add", lambda part: sizes.append(len(part)) or add(part))
    moments.add(rows)
    assert max(sizes) == max(1, 10 // tokens)
    exact = rows.astype(np.float64)
    covariance = np.mean([np.cov(exact[:, place].T, bias=True) for place in range(tokens)], axis=0)
    found = moments.statistics()
    np.testing.assert_allclose(found.mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.factor @ found.factor.T, covariance, atol=1e-5)
