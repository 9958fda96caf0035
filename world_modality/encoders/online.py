"""The latent history of a running episode, equal to what the cache holds for the same frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from world_modality.encoders.clips import clip_rows, history_ends
from world_modality.encoders.encoder import Encoder


@dataclass(frozen=True)
class HistoryEncoder:
    """Encodes the last ``context`` clips of an episode from its last frames."""

    encoder: Encoder
    context: int

    @property
    def required_frames(self) -> int:
        """Frames that the history spans: T clips of m frames that overlap in all but one frame, T + m - 1."""
        return self.context + self.encoder.spec.frames - 1

    def encode(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Latents z_{t-T+1..t} of an episode's last frames, float32 [T, D], rounded to float16 like the cache.

        Args:
            frames: uint8 [F, H, W, 3], oldest first, the last one at t. F is ``required_frames``, or less when the
                episode is younger than that: then these are all its frames, and first frame and first latent repeat.

        Raises:
            ValueError: no frame, or more than ``required_frames``.
        """
        count = len(frames)
        if not 1 <= count <= self.required_frames:
            raise ValueError(f"a history takes 1 to {self.required_frames} frames, not {count}")
        rows = clip_rows(history_ends(count - 1, self.context), self.encoder.spec.frames)
        latents = self.encoder.encode_prepared(self.encoder.prepare(frames), rows)
        return latents.astype(np.float16).astype(np.float32)
