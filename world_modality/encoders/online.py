"""The latent history of a running episode, equal to what the cache holds for the same frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.encoders.clips import clip_rows, history_ends
from world_modality.encoders.encoder import Encoder


@dataclass(frozen=True)
class HistoryEncoder:
    """Encodes the last ``context`` clips of an episode from its last frames, as seen by one or several cameras."""

    encoder: Encoder
    context: int

    @property
    def required_frames(self) -> int:
        """Frames that the history spans: T clips of m frames that overlap in all but one frame, T + m - 1."""
        return self.context + self.encoder.spec.frames - 1

    def encode(self, *cameras: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Latents z_{t-T+1..t} of an episode's last frames, float32 [T, C * D], rounded to float16 like the cache.

        Args:
            cameras: of each of the C cameras, uint8 [F, height, width, 3], oldest first, the last one at t. F is
                ``required_frames``, or less when the episode is younger than that: then these are all its frames, and
                first frame and first latent repeat. The cameras' latents stand side by side in the order given.

        Raises:
            ValueError: no frame, more than ``required_frames``, or cameras with unequally many.
        """
        count = len(cameras[0])
        if not 1 <= count <= self.required_frames:
            raise ValueError(f"a history takes 1 to {self.required_frames} frames, not {count}")
        if any(len(frames) != count for frames in cameras):
            raise ValueError(f"cameras show {', '.join(str(len(frames)) for frames in cameras)} frames")
        rows = clip_rows(history_ends(count - 1, self.context), self.encoder.spec.frames)
        prepared = torch.cat([self.encoder.prepare(frames) for frames in cameras])
        # All cameras' clips at once, so that the encoder's batches are filled up once.
        clips = np.concatenate([rows + count * number for number in range(len(cameras))])
        latents = self.encoder.encode_prepared(prepared, clips).astype(np.float16).astype(np.float32)
        return np.concatenate(np.split(latents, len(cameras)), axis=1)
