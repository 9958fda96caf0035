"""Open a latent cache without reading it into memory."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError, in_one_line
from world_modality.latents.cache import DESCRIPTION, STATISTICS, TOKENS_AT_ONCE, LatentStatistics
from world_modality.latents.earlier_cache import LATENTS
from world_modality.study.specs import EncoderSpec


@dataclass(frozen=True)
class LatentCache:
    """An open cache: ``latents`` float16 [N, P, D] (memory-mapped, read-only), row = the frame's global ``index``."""

    latents: NDArray[np.float16]
    statistics: LatentStatistics
    camera: str
    encoder: EncoderSpec
    dataset_fingerprint: str

    @property
    def tokens(self) -> int:
        """P, the tokens of a frame."""
        return int(self.latents.shape[1])

    @property
    def dim(self) -> int:
        """D, the encoder's hidden size."""
        return int(self.latents.shape[2])

    def rows(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Latents of frames ``index`` [...] as float32 [..., P, D]."""
        return self.latents[index].astype(np.float32)


def read_description(folder: Path) -> dict[str, Any]:
    """What a cache says of itself: "frames", "tokens", "dim", "camera", "encoder", "dataset_fingerprint".

    Raises:
        UserError: the cache is incomplete or its description damaged.
    """
    missing = [name for name in (LATENTS, DESCRIPTION, STATISTICS) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"the latent cache in {folder} lacks {', '.join(missing)}: run the latents stage again")
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
        EncoderSpec.model_validate(description["encoder"])
        _ = [int(description[name]) for name in ("frames", "tokens", "dim")], description["camera"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / DESCRIPTION} is damaged ({error}): run the latents stage again") from error
    return description


def camera_of(folder: Path) -> str:
    """Whose frames a cache is of; UserError as :func:`read_description`."""
    return str(read_description(folder)["camera"])


def open_latents(folder: Path, *, frames: int) -> LatentCache:
    """Open the cache in ``folder`` and check it.

    Args:
        folder: artifact of the latents stage.
        frames: N, the number of frames of the dataset it is to be used with.

    Raises:
        UserError: the cache is incomplete or damaged, has another number of rows, or holds a value that is not finite.
    """
    description = read_description(folder)
    try:
        latents = np.load(folder / LATENTS, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{folder / LATENTS} cannot be read ({error}): run the latents stage again") from error
    shape = (frames, description["tokens"], description["dim"])
    if latents.dtype != np.float16 or latents.shape != shape:
        raise UserError(
            f"the latent cache in {folder} is {latents.dtype} {list(latents.shape)}, but the dataset needs "
            f"float16 {list(shape)}: it was made for another dataset, run the latents stage again"
        )
    step = max(1, TOKENS_AT_ONCE // shape[1])
    if not all(np.isfinite(latents[row : row + step]).all() for row in range(0, frames, step)):
        raise UserError(f"the latent cache in {folder} holds values that are not finite: run the latents stage again")
    return LatentCache(
        latents,
        _statistics(folder / STATISTICS, tokens=shape[1], dim=shape[2]),
        description["camera"],
        EncoderSpec.model_validate(description["encoder"]),
        description["dataset_fingerprint"],
    )


def _statistics(file: Path, *, tokens: int, dim: int) -> LatentStatistics:
    """Mean [tokens, dim] and factor [dim, dim]; UserError if the file is damaged or holds others."""
    try:
        with np.load(file) as stored:
            found = {name: stored[name] for name in ("mean", "factor")}
    except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        raise UserError(f"{file} is damaged ({in_one_line(error)}): run the latents stage again") from error
    for name, shape in (("mean", (tokens, dim)), ("factor", (dim, dim))):
        values = found[name]
        if values.shape != shape or values.dtype != np.float32 or not np.isfinite(values).all():
            raise UserError(
                f"{file}: {name} is {values.dtype} {list(values.shape)}, and not finite float32 {list(shape)}: run the "
                "latents stage again"
            )
    return LatentStatistics(found["mean"], found["factor"])
