"""The latent history of a running episode, equal to what the cache holds for the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.encoders.encoder import Encoder, clip_rows, history_ends


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
        """Latents z_{t-T+1..t} of an episode's last frames, float32 [T, P, C * D], rounded to float16 like the cache.

        Args:
            cameras: of each of the C cameras, uint8 [F, height, width, 3], oldest first, the last one at t. F is
                ``required_frames``, or less when the episode is younger than that: then these are all its frames, and
                first frame and first latent repeat. The cameras' latents stand side by side in the order given.

        Raises:
            ValueError: no frame, more than ``required_frames``, or cameras with unequally many.
        """
        return self.encode_many([cameras])[0]

    def encode_many(self, windows: Sequence[Sequence[NDArray[np.uint8]]]) -> list[NDArray[np.float32]]:
        """``encode`` of several episodes' last frames at once: the same latents, in fewer of the encoder's batches.

        A batch of the encoder always has the same number of clips, whoever's they are, so that no latent depends on
        which episodes are asked for together (see :class:`Encoder`).
        """
        prepared: list[torch.Tensor] = []
        clips: list[NDArray[np.int64]] = []
        before = 0
        for cameras in windows:
            rows = self._rows(cameras)
            for frames in cameras:
                prepared.append(self.encoder.prepare(frames))
                clips.append(rows + before)
                before += len(frames)
        found = self.encoder.encode_prepared(torch.cat(prepared), np.concatenate(clips))
        latents = iter(np.split(found.astype(np.float16).astype(np.float32), len(clips)))
        return [np.concatenate([next(latents) for _ in cameras], axis=-1) for cameras in windows]

    def _rows(self, cameras: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
        """The frames of each of the T clips, int64 [T, m]."""
        count = len(cameras[0])
        if not 1 <= count <= self.required_frames:
            raise ValueError(f"a history takes 1 to {self.required_frames} frames, not {count}")
        if any(len(frames) != count for frames in cameras):
            raise ValueError(f"cameras show {', '.join(str(len(frames)) for frames in cameras)} frames")
        return clip_rows(history_ends(count - 1, self.context), self.encoder.spec.frames)
