"""Open what the tokens stage made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.errors import UserError
from world_modality.study.specs import EncoderSpec
from world_modality.tokens.codebook import Codebook, load_codebook

CODEBOOK = "codebook"
TOKENS = "tokens.npy"
DESCRIPTION = "tokens.json"
STATISTICS = "statistics.json"
GRIDS = "grids"


@dataclass(frozen=True)
class TokenCache:
    """``tokens`` int32 [N, P] (memory-mapped, read-only), row = the frame's global ``index``, and what made them."""

    tokens: NDArray[np.int32]
    codebook: Codebook
    camera: str
    encoder: EncoderSpec
    dataset_fingerprint: str
    held_out: tuple[int, ...]
    """Episodes that the codebook was not fitted on."""


def open_tokens(folder: Path, *, frames: int) -> TokenCache:
    """Open the artifact of a tokens stage and check it.

    Args:
        folder: the artifact.
        frames: N, the number of frames of the dataset it is to be used with.

    Raises:
        UserError: a file is missing or damaged, the tokens are of another dataset, or the codebook has no such token.
    """
    again = "run the tokens stage again"
    codebook = load_codebook(folder / CODEBOOK)
    try:
        about: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
        encoder = EncoderSpec.model_validate(about["encoder"])
        tokens = np.load(folder / TOKENS, mmap_mode="r", allow_pickle=False)
        per_frame, camera, fingerprint = int(about["tokens"]), str(about["camera"]), str(about["dataset_fingerprint"])
        held_out = tuple(int(episode) for episode in about["held_out"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"the tokens in {folder} are damaged or incomplete ({error}): {again}") from error
    if tokens.dtype != np.int32 or tokens.shape != (frames, per_frame):
        raise UserError(
            f"the tokens in {folder} are {tokens.dtype} {list(tokens.shape)}, but the dataset needs int32 "
            f"{[frames, per_frame]}: they were made for another dataset, {again}"
        )
    if tokens.min() < 0 or tokens.max() >= codebook.size:
        raise UserError(f"the tokens in {folder} name centroids that its codebook of {codebook.size} has not: {again}")
    return TokenCache(tokens, codebook, camera, encoder, fingerprint, held_out)
