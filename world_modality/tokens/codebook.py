"""A codebook: K centroids and the rule that gives a latent its token, the same for a cache and in a rollout.

``centroids.npy``  float32 [K, D]
``codebook.json``  ``size`` K, ``dim`` D, ``l2_normalised``
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.store.files import write_json

CENTROIDS = "centroids.npy"
DESCRIPTION = "codebook.json"
ROWS_AT_ONCE = 2048  # bounds memory
PAIRS_AT_ONCE = 4096  # the same, of latents and centroids that are compared in double precision
UNIT = float(np.finfo(np.float32).eps) / 2  # largest relative error of one rounding


def prepared(latents: NDArray[np.floating[Any]], *, l2_normalised: bool) -> NDArray[np.float32]:
    """Rows [N, D] as a codebook compares them: float32, and divided by their length if it wants that.

    A row of zeros has no direction and stays as it is.
    """
    rows = np.ascontiguousarray(latents, dtype=np.float32)
    if not l2_normalised:
        return rows
    length = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = (rows / np.where(length > 0, length, 1.0)).astype(np.float32)
    return unit


@dataclass(frozen=True)
class Codebook:
    """``centroids`` float32 [K, D]; whether latents are divided by their length before they are compared.

    Raises ValueError if the centroids are no such array, or not finite.
    """

    centroids: NDArray[np.float32]
    l2_normalised: bool

    def __post_init__(self) -> None:
        if self.centroids.ndim != 2 or self.centroids.dtype != np.float32 or not self.centroids.size:
            raise ValueError(f"centroids are float32 [K, D], not {self.centroids.dtype} {list(self.centroids.shape)}")
        if not np.isfinite(self.centroids).all():
            raise ValueError("a centroid is not finite")

    @property
    def size(self) -> int:
        """K."""
        return int(self.centroids.shape[0])

    @property
    def dim(self) -> int:
        """D."""
        return int(self.centroids.shape[1])

    def assign(self, latents: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
        """The tokens int32 [...] of latents [..., D]: each one's nearest centroid, of equally near ones the first.

        Nearness is told in double precision, so that a latent's token depends on nothing else: neither on what is
        assigned beside it nor on how sums are rounded. ValueError if a latent is not of D numbers, or not finite.
        """
        if latents.shape[-1] != self.dim:
            raise ValueError(f"latents of {latents.shape[-1]} numbers, but the codebook's have {self.dim}")
        flat = latents.reshape(-1, self.dim)
        tokens = np.empty(len(flat), np.int32)
        for start in range(0, len(flat), ROWS_AT_ONCE):
            rows = prepared(flat[start : start + ROWS_AT_ONCE], l2_normalised=self.l2_normalised)
            if not np.isfinite(rows).all():
                raise ValueError("a latent is not finite")
            tokens[start : start + len(rows)] = self._nearest(rows)
        return tokens.reshape(latents.shape[:-1])

    @cached_property
    def _centre(self) -> NDArray[np.float32]:
        """What all latents have in common costs digits; distances are the same without it."""
        centre: NDArray[np.float32] = self.centroids.mean(axis=0, dtype=np.float64).astype(np.float32)
        return centre

    @cached_property
    def _shifted(self) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        """Centroids around the centre, transposed [D, K]; half of their squared lengths [K]; the greatest length."""
        shifted = self.centroids - self._centre
        squares = np.square(shifted, dtype=np.float64).sum(axis=1)
        return np.ascontiguousarray(shifted.T), (squares / 2).astype(np.float32), float(np.sqrt(squares.max()))

    def _nearest(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Tokens [N] of prepared rows [N, D]."""
        shifted = rows - self._centre
        columns, halves, longest = self._shifted
        scores = halves - shifted @ columns  # half the squared distance, less what a row's scores have in common
        tokens: NDArray[np.int64] = scores.argmin(axis=1)
        best = np.take_along_axis(scores, tokens[:, None], axis=1)
        lengths = np.sqrt(np.square(shifted, dtype=np.float64).sum(axis=1, keepdims=True))
        # Two scores closer than this may have changed places: a sum of D products errs by D roundings at most.
        doubt = (2 * (self.dim + 8) * UNIT * np.square(lengths + longest)).astype(np.float32)
        near = scores <= best + doubt
        doubtful = np.flatnonzero(np.count_nonzero(near, axis=1) > 1)
        if doubtful.size:
            tokens[doubtful] = self._nearest_exactly(rows[doubtful], near[doubtful])
        return tokens

    def _nearest_exactly(self, rows: NDArray[np.float32], near: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Tokens [N] of rows [N, D] among the centroids that ``near`` [N, K] leaves over."""
        row, centroid = np.nonzero(near)
        distances = np.empty(len(row))
        for start in range(0, len(row), PAIRS_AT_ONCE):
            pairs = slice(start, start + PAIRS_AT_ONCE)
            change = rows[row[pairs]].astype(np.float64) - self.centroids[centroid[pairs]]
            distances[pairs] = np.square(change).sum(axis=1)
        order = np.lexsort((centroid, distances, row))
        nearest: NDArray[np.int64] = centroid[order[np.unique(row[order], return_index=True)[1]]]
        return nearest


def write_codebook(folder: Path, codebook: Codebook) -> None:
    """Write the two files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / CENTROIDS, codebook.centroids)
    about = {"size": codebook.size, "dim": codebook.dim, "l2_normalised": codebook.l2_normalised}
    write_json(folder / DESCRIPTION, about)


def load_codebook(folder: Path) -> Codebook:
    """The codebook in a folder.

    Raises:
        UserError: a file is missing or damaged, or the two contradict each other.
    """
    again = "copy it anew, or run the tokens stage again"
    missing = [name for name in (CENTROIDS, DESCRIPTION) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"the codebook in {folder} lacks {', '.join(missing)}: {again}")
    try:
        about = json.loads((folder / DESCRIPTION).read_text())
        size, dim, normalised = about["size"], about["dim"], about["l2_normalised"]
        centroids = np.load(folder / CENTROIDS, allow_pickle=False)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"the codebook in {folder} is damaged ({error}): {again}") from error
    if not isinstance(normalised, bool):
        raise UserError(f"{folder / DESCRIPTION}: l2_normalised is {normalised!r}, not true or false: {again}")
    if list(centroids.shape) != [size, dim]:
        raise UserError(
            f"{folder / CENTROIDS} is {list(centroids.shape)}, but {DESCRIPTION} says [{size}, {dim}]: {again}"
        )
    try:
        return Codebook(centroids, normalised)
    except ValueError as error:
        raise UserError(f"{folder / CENTROIDS}: {error}: {again}") from error
