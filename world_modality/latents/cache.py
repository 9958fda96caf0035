"""The latent cache on disk: one row per frame of the dataset, with what is needed to know and to imitate it.

``latents.npy``      float16 [N, P, D], memory-mappable, row = the frame's global ``index``
``latents.json``     shape, camera, encoder specification, dataset fingerprint
``statistics.npz``   ``mean`` float32 [P, D] and ``factor`` float32 [D, D], where factor @ factor.T is the covariance

P tokens of D numbers stand for a frame; P is 1 where the encoder's tokens are pooled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.latents.earlier_cache import LATENTS
from world_modality.store.files import write_json
from world_modality.study.specs import EncoderSpec

DESCRIPTION = "latents.json"
STATISTICS = "statistics.npz"
TOKENS_AT_ONCE = 65536  # bounds memory, and fixes the order of summation


@dataclass(frozen=True)
class LatentStatistics:
    """Mean float32 [P, D] of every token of a frame, and a factor float32 [D, D] of the covariance around these means.

    ``mean[p] + factor @ e`` with standard normal e matches token p of all rows in mean, and all tokens together in
    covariance: it is one for all of them, the average of theirs.
    """

    mean: NDArray[np.float32]
    factor: NDArray[np.float32]


def write_cache(
    folder: Path,
    parts: Iterable[NDArray[np.float16]],
    shape: tuple[int, int, int],
    *,
    camera: str,
    encoder: EncoderSpec,
    dataset_fingerprint: str,
) -> None:
    """Assemble the cache in an empty folder from the latents [n, P, D] of its parts in order.

    Together they must fill ``shape`` = (N, P, D).

    Raises:
        UserError: a latent is not finite.
        ValueError: the rows are not N.
    """
    statistics = _fill(folder / LATENTS, parts, shape, encoder)
    np.savez(folder / STATISTICS, mean=statistics.mean, factor=statistics.factor)
    description = {
        "frames": shape[0],
        "tokens": shape[1],
        "dim": shape[2],
        "camera": camera,
        "encoder": encoder.address(),
        "dataset_fingerprint": dataset_fingerprint,
    }
    write_json(folder / DESCRIPTION, description)


def require_finite(latents: NDArray[np.float16], first: int, encoder: EncoderSpec) -> None:
    """UserError if one of the latents [n, P, D] of the dataset's frames from ``first`` on is not finite."""
    finite = np.isfinite(latents).all(axis=(1, 2))
    if not finite.all():
        spoilt = first + np.flatnonzero(~finite)
        raise UserError(
            f"the encoder {encoder.name}, computing in {encoder.dtype}, gave latents that are no numbers, or too large "
            f"for float16, of {len(spoilt)} frames between {spoilt[0]} and {spoilt[-1]}: let it compute in float32, or "
            "name another encoder"
        )


def _fill(
    path: Path, parts: Iterable[NDArray[np.float16]], shape: tuple[int, int, int], encoder: EncoderSpec
) -> LatentStatistics:
    """Write the rows one after the other, so that no page of the file stays in memory, and gather their moments."""
    moments = Moments(*shape[1:])
    filled = 0
    with path.open("wb") as file:
        header = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
        write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
        for latents in parts:
            require_finite(latents, filled, encoder)
            file.write(np.ascontiguousarray(latents, np.float16).tobytes())
            moments.add(latents)
            filled += len(latents)
    if filled != shape[0]:
        raise ValueError(f"{filled} latents for {shape[0]} frames")
    return moments.statistics()


class Moments:
    """First and second moments of rows that arrive in parts, in float64 around the first part's mean."""

    def __init__(self, tokens: int, dim: int) -> None:
        self._shift: NDArray[np.float64] | None = None
        self._sum = np.zeros((tokens, dim))
        self._products = np.zeros((dim, dim))
        self._count = 0

    def add(self, rows: NDArray[np.float16]) -> None:
        """Take in rows [L, P, D]."""
        step = max(1, TOKENS_AT_ONCE // rows.shape[1])
        for start in range(0, len(rows), step):
            self._add(rows[start : start + step])

    def _add(self, rows: NDArray[np.float16]) -> None:
        values = rows.astype(np.float64)
        if self._shift is None:
            self._shift = values.mean(axis=0)
        values -= self._shift
        self._sum += values.sum(axis=0)
        flat = values.reshape(-1, values.shape[-1])
        self._products += flat.T @ flat
        self._count += len(values)

    def statistics(self) -> LatentStatistics:
        """Means and factor of the population covariance around them."""
        assert self._shift is not None
        offset = self._sum / self._count
        covariance = self._products / (self._count * len(offset)) - offset.T @ offset / len(offset)
        return LatentStatistics((self._shift + offset).astype(np.float32), factor_of(covariance))


def factor_of(covariance: NDArray[np.float64]) -> NDArray[np.float32]:
    """A factor [D, D] with factor @ factor.T = ``covariance`` [D, D], also of a covariance of low rank."""
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    factor: NDArray[np.float64] = eigenvectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    return factor.astype(np.float32)
