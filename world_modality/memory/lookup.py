"""What training asks of the latent cache: history and future of a batch's frames, by their global index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from world_modality.latents.reader import LatentCache, open_latents
from world_modality.latents.windows import EpisodeBounds, future_rows, past_rows


@dataclass(frozen=True)
class LatentWindow:
    """The latents around each frame t of a batch, float32."""

    history: Tensor  # [B, T, D]: t-T+1..t, the episode's first frame repeated
    future: Tensor  # [B, K, D]: t+1..t+K, the episode's last frame repeated
    valid: Tensor  # bool [B, K]: whether that future frame exists

    def to(self, device: torch.device) -> LatentWindow:
        """The same on ``device``."""
        return LatentWindow(self.history.to(device), self.future.to(device), self.valid.to(device))


@dataclass(frozen=True)
class LatentLookup:
    """A latent cache and the bounds of the episodes it covers. Read-only: copies share it."""

    cache: LatentCache
    bounds: EpisodeBounds

    @classmethod
    def open(cls, folder: Path, bounds: EpisodeBounds) -> LatentLookup:
        """Open the cache of the dataset with these bounds; UserError if it is damaged or of another dataset."""
        return cls(open_latents(folder, frames=bounds.frames), bounds)

    def __deepcopy__(self, memo: dict[int, object]) -> LatentLookup:
        return self  # a copied policy must not copy the mapped file into memory

    def window(self, index: Tensor, context: int, horizon: int) -> LatentWindow:
        """Latents around the frames ``index``, int64 [B], on the CPU; T = context, K = horizon."""
        frames = index.cpu().numpy().astype(np.int64)
        start, end = self.bounds.around(frames)
        future, valid = future_rows(frames, end, horizon)
        history = past_rows(frames, start, context)
        return LatentWindow(self._gather(history), self._gather(future), torch.from_numpy(valid))

    def _gather(self, rows: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.cache.rows(rows))
