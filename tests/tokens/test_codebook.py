"""The rule that gives a latent its token: nearest in double precision, alone or in company, offline and online."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.errors import UserError
from world_modality.tokens.codebook import Codebook, load_codebook, prepared, write_codebook


def drawn(rows: int, dim: int, seed: int, offset: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, dim)) + offset).astype(np.float32)


def brute_force(codebook: Codebook, latents: np.ndarray) -> np.ndarray:
    """In double precision, pair by pair; argmin takes the first of equals."""
    rows = prepared(latents.reshape(-1, codebook.dim), l2_normalised=codebook.l2_normalised)
    centroids = codebook.centroids.astype(np.float64)
    found = [np.square(row.astype(np.float64) - centroids).sum(axis=1).argmin() for row in rows]
    return np.array(found, np.int32).reshape(latents.shape[:-1])


@given(
    rows=st.integers(1, 40),
    dim=st.integers(1, 9),
    size=st.integers(1, 12),
    seed=st.integers(0, 99),
    normalised=st.booleans(),
    offset=st.sampled_from([0.0, 300.0]),
)
@settings(max_examples=60, deadline=None)
def test_a_token_is_the_nearest_centroid(
    rows: int, dim: int, size: int, seed: int, normalised: bool, offset: float
) -> None:
    codebook = Codebook(drawn(size, dim, seed, offset), normalised)
    latents = drawn(rows, dim, seed + 1, offset)
    tokens = codebook.assign(latents)
    assert tokens.dtype == np.int32
    assert np.array_equal(tokens, brute_force(codebook, latents))


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_one_latent_alone_gets_the_token_that_it_gets_among_many(offset: float) -> None:
    """Rows halfway between centroids, where float32 products decide by their order of summation."""
    centroids = drawn(64, 48, 0, offset)
    halfway = (centroids[:, None] + centroids[None]).reshape(-1, 48) / 2
    codebook = Codebook(centroids, l2_normalised=False)
    together = codebook.assign(halfway)
    alone = [int(codebook.assign(row)) for row in halfway[::97]]
    assert together[::97].tolist() == alone
    order = np.random.default_rng(1).permutation(len(halfway))
    assert np.array_equal(codebook.assign(halfway[order]), together[order])
    assert np.array_equal(codebook.assign(halfway.reshape(64, 64, 48)), together.reshape(64, 64))


def test_of_equal_centroids_the_first_is_taken() -> None:
    one, other = drawn(2, 8, 0)
    codebook = Codebook(np.stack([other, one, one, other]), l2_normalised=False)
    assert codebook.assign(np.stack([one, other, one])).tolist() == [1, 0, 1]


def test_length_counts_unless_it_is_divided_out() -> None:
    centroids = np.array([[1, 0], [0, 1], [0.6, 0.6]], np.float32)
    far = np.array([[90, 30], [0.1, 0.9], [0.1, 0.1]], np.float32)
    assert Codebook(centroids, l2_normalised=False).assign(far).tolist() == [0, 1, 2]
    normalised = Codebook(centroids, l2_normalised=True)
    assert normalised.assign(far).tolist() == normalised.assign(far * 1000).tolist() == [0, 1, 2]
    assert normalised.assign(far[:1] * [[1, 3]]).tolist() == [2]
    lengths = np.linalg.norm(prepared(np.array([[3, 4], [0, 0]]), l2_normalised=True), axis=1)
    assert np.allclose(lengths, [1, 0])


def test_half_precision_is_compared_as_what_it_is() -> None:
    codebook = Codebook(drawn(16, 6, 3), l2_normalised=False)
    latents = drawn(50, 6, 4).astype(np.float16)
    assert np.array_equal(codebook.assign(latents), codebook.assign(latents.astype(np.float32)))


def test_what_is_no_latent_of_its_kind_is_refused() -> None:
    codebook = Codebook(drawn(4, 3, 0), l2_normalised=False)
    with pytest.raises(ValueError, match="latents of 2 numbers, but the codebook's have 3"):
        codebook.assign(np.zeros((5, 2), np.float32))
    with pytest.raises(ValueError, match="a latent is not finite"):
        codebook.assign(np.full((1, 3), np.nan, np.float32))


def test_what_was_written_is_loaded(tmp_path: Path) -> None:
    codebook = Codebook(drawn(5, 3, 0), l2_normalised=True)
    write_codebook(tmp_path / "codebook", codebook)
    loaded = load_codebook(tmp_path / "codebook")
    assert np.array_equal(loaded.centroids, codebook.centroids)
    assert loaded.l2_normalised
    latents = drawn(30, 3, 1)
    assert np.array_equal(loaded.assign(latents), codebook.assign(latents))


def spoil_description(folder: Path, **changes: object) -> None:
    file = folder / "codebook.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


SPOILT = {
    "lacks centroids.npy": lambda folder: (folder / "centroids.npy").unlink(),
    r"centroids.npy is \[5, 3\], but codebook.json says \[6, 3\]": lambda folder: spoil_description(folder, size=6),
    "l2_normalised is 'no', not true or false": lambda folder: spoil_description(folder, l2_normalised="no"),
    "is damaged": lambda folder: (folder / "codebook.json").write_text("{"),
    "centroid is not finite": lambda folder: np.save(folder / "centroids.npy", np.full((5, 3), np.inf, np.float32)),
    r"centroids are float32 \[K, D\], not float64": lambda folder: np.save(folder / "centroids.npy", np.ones((5, 3))),
    "the codebook in .* is damaged": lambda folder: (folder / "centroids.npy").write_bytes(b""),
}


@pytest.mark.parametrize("message", SPOILT)
def test_a_spoilt_codebook_is_refused_in_one_sentence(tmp_path: Path, message: str) -> None:
    write_codebook(tmp_path, Codebook(drawn(5, 3, 0), l2_normalised=False))
    SPOILT[message](tmp_path)
    with pytest.raises(UserError, match=message) as told:
        load_codebook(tmp_path)
    assert "copy it anew, or run the tokens stage again" in str(told.value)
    assert "\n" not in str(told.value)
