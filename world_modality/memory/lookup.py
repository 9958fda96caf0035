"""What training asks of the latent cache: history and future of a batch's frames, by their global index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from world_modality.errors import UserError
from world_modality.latents.cache import LatentStatistics
from world_modality.latents.joint import JointLatents, open_joint
from world_modality.latents.windows import EpisodeBounds, future_rows, past_rows


@dataclass(frozen=True)
class LatentWindow:
    """The latents around each frame t of a batch, float32."""

    history: Tensor  # [B, T, P, W]: t-T+1..t, the episode's first frame repeated
    future: Tensor  # [B, K, P, W]: t+1..t+K, the episode's last frame repeated
    valid: Tensor  # bool [B, K]: whether that future frame exists

    def to(self, device: torch.device) -> LatentWindow:
        """The same on ``device``."""
        return LatentWindow(self.history.to(device), self.future.to(device), self.valid.to(device))


@dataclass(frozen=True)
class LatentLookup:
    """Cached latents, P tokens of W numbers per frame, and the episodes' bounds. Read-only: copies share it.

    Donors and statistics come from the episodes that are not ``held_out``.
    """

    latents: JointLatents
    bounds: EpisodeBounds
    held_out: tuple[int, ...] = ()

    @classmethod
    def open(cls, folders: Sequence[Path], bounds: EpisodeBounds, held_out: tuple[int, ...] = ()) -> LatentLookup:
        """Open the caches of the dataset with these bounds, one folder per camera.

        Raises:
            UserError: a cache is damaged or of another dataset, they do not belong together, or ``held_out`` leaves
                nothing or names no episode.
        """
        require_held_out(held_out, len(bounds.starts))
        return cls(open_joint(folders, frames=bounds.frames), bounds, held_out)

    @property
    def trained(self) -> EpisodeBounds:
        """The bounds of the episodes that are trained on."""
        return self.bounds.without(self.held_out)

    @cached_property
    def training_set(self) -> str:
        """16 hex that tell the dataset without the held-out episodes from others, wherever it and its latents lie."""
        return training_set_of(self.latents.dataset_fingerprint, self.held_out)

    def statistics(self) -> LatentStatistics:
        """Mean and covariance factor of the episodes that are trained on."""
        return self.latents.statistics(self.trained if self.held_out else None)

    def __deepcopy__(self, memo: dict[int, object]) -> LatentLookup:
        return self  # a copied policy must not copy the mapped file into memory

    def window(self, index: Tensor, context: int, prediction_horizon: int) -> LatentWindow:
        """Latents around the frames ``index``, int64 [B], on the CPU; T = context, K = prediction_horizon."""
        frames = index.cpu().numpy().astype(np.int64)
        start, end = self.bounds.around(frames)
        future, valid = future_rows(frames, end, prediction_horizon)
        history = past_rows(frames, start, context)
        return LatentWindow(self._gather(history), self._gather(future), torch.from_numpy(valid))

    def history(self, index: Tensor, context: int, delay: int = 0) -> Tensor:
        """Latents [B, T, P, W] that end ``delay`` frames before the frames ``index``, or at their episode's first."""
        frames = index.cpu().numpy().astype(np.int64)
        start, _ = self.bounds.around(frames)
        return self._gather(past_rows(np.maximum(frames - delay, start), start, context))

    def donors(self, index: Tensor, seeds: Sequence[int], context: int) -> Tensor:
        """Histories [B, T, P, W] of other episodes than those of the frames ``index``, each keyed by its seed.

        UserError if there is only one episode.
        """
        starts = self.trained.starts
        if len(starts) < 2:
            raise UserError("memory mode 'shuffle' needs another episode's latents, but the training has only one")
        own = np.searchsorted(starts, index.cpu().numpy(), side="right") - 1
        steps = np.array([1 + seed % (len(starts) - 1) for seed in seeds], np.int64)
        return self._histories((own + steps) % len(starts), seeds, context)

    def any_histories(self, seeds: Sequence[int], context: int) -> Tensor:
        """Histories [len(seeds), T, P, W] of episodes and frames keyed by the seeds."""
        episodes = np.array([seed % len(self.trained.starts) for seed in seeds], np.int64)
        return self._histories(episodes, seeds, context)

    def _histories(self, episodes: npt.NDArray[np.int64], seeds: Sequence[int], context: int) -> Tensor:
        """Histories [B, T, P, W] that end at a keyed frame of each of ``episodes`` [B], counted among the trained."""
        bounds = self.trained
        start, end = bounds.starts[episodes], bounds.ends[episodes]
        within = np.array([seed // 2**32 for seed in seeds], np.int64) % (end - start)
        return self._gather(past_rows(start + within, start, context))

    def _gather(self, rows: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self.latents.rows(rows))


def training_set_of(dataset_fingerprint: str, held_out: Sequence[int]) -> str:
    """16 hex that tell a dataset without these episodes from others."""
    return hashlib.sha256(f"{dataset_fingerprint} {sorted(held_out)}".encode()).hexdigest()[:16]


def require_held_out(held_out: Sequence[int], episodes: int) -> None:
    """UserError unless ``held_out`` are some, or none, of so many episodes, and not all."""
    if not set(held_out) < set(range(episodes)):
        raise UserError(
            f"world_held_out: {list(held_out)} are not some, and not all, of the dataset's {episodes} episodes: name "
            "the episodes that are not trained on"
        )
