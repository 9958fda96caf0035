"""Is a clip's latent a function of that clip alone? Asked of encoders whose code is not this package's.

An encoder is only ever given clips that end at the frame they stand for, but it is given several at once, and in an
episode these follow each other. Code that encodes them together and cuts the result in time would see the future.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from world_modality.encoders.encoder import Encoder, clip_rows
from world_modality.errors import UserError
from world_modality.study.specs import EncoderSpec


def require_clipwise(encoder: Encoder) -> None:
    """UserError if a clip's latent changes when only later frames do, or from one time to the next."""
    spec, rng = encoder.spec, np.random.default_rng(0)
    shape = (spec.frames * max(spec.batch, 2), spec.image_size, spec.image_size, 3)
    before, later = (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
    after = np.concatenate([before[: spec.frames], later[spec.frames :]])
    shown = [encoder.prepare(video) for video in (before, after)]
    for distance in sorted({1, spec.frames}):  # between clips that overlap as an episode's do, and that do not
        rows = clip_rows(np.arange(spec.frames - 1, len(before), distance)[: max(spec.batch, 2)], spec.frames)
        first, again, other = (encoder.encode_prepared(each, rows)[0] for each in (shown[0], *shown))
        _require_same(spec, first, again, other)


def _require_same(
    spec: EncoderSpec, first: NDArray[np.float32], again: NDArray[np.float32], other: NDArray[np.float32]
) -> None:
    if not np.array_equal(first, again):
        raise UserError(f"the encoder {spec.name} makes other latents of the same clip each time: take another one")
    if not np.array_equal(first, other):
        raise UserError(
            f"the latents of the encoder {spec.name} change when only later frames do: it cuts them in time from what "
            "it made of a longer clip, so have each made of its own clip alone"
        )
