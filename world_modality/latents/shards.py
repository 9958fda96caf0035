"""The latents of finished episodes, kept while the stage is at work."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from world_modality.store.files import write_atomically


@dataclass(frozen=True)
class Shards:
    """One file per episode, named by the episode alone: what lies under a name is that episode, complete."""

    folder: Path

    def path(self, episode: int) -> Path:
        """Where an episode's latents are kept."""
        return self.folder / f"episode_{episode:06d}.npy"

    def has(self, episode: int) -> bool:
        """Whether the episode is finished."""
        return self.path(episode).is_file()

    def save(self, episode: int, latents: NDArray[np.float16]) -> None:
        """Keep an episode's latents [L, P, D]."""
        buffer = io.BytesIO()
        np.save(buffer, latents)
        write_atomically(self.path(episode), buffer.getvalue())

    def load(self, episode: int) -> NDArray[np.float16]:
        """An episode's latents [L, P, D]."""
        latents: NDArray[np.float16] = np.load(self.path(episode))
        return latents
