"""All clips of some reels, in memory, as small as the network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from world_modality.errors import UserError
from world_modality.pretraining.networks import pictures_for, video_processor
from world_modality.pretraining.specs import NetworkSpec
from world_modality.pretraining.takes import EPISODES, clips_of, read_take
from world_modality.store.progress import Progress

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """F frames and the N clips of ``m`` successive ones that lie within a shot."""

    frames: Tensor
    """uint8 [F, 3, S, S]."""
    clips: Indices
    """Rows of the frames [N, m], oldest first."""
    shots: Indices
    """A number per clip [N], equal in one shot of one episode,"""
    tasks: Indices
    """and one that is equal in one task."""

    def videos(self, chosen: Indices) -> Tensor:
        """The clips of these numbers [B], float32 [B, m, 3, S, S], scaled as the network's processor does it."""
        pixels = self.frames[torch.from_numpy(self.clips[chosen])].float() / 255
        processor = video_processor(self.frames.shape[-1])
        mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (processor.image_mean, processor.image_std))
        return (pixels - mean) / deviation


def read_corpus(reels: Sequence[Path], network: NetworkSpec, progress: Progress) -> Corpus:
    """The corpus of the artifacts of some footage stages, in their order; UserError if it has no clip."""
    frames: list[Tensor] = []
    clips: list[Indices] = []
    shots: list[Indices] = []
    tasks: list[Indices] = []
    names: dict[tuple[str, int], int] = {}
    before = shots_before = 0
    for number, reel in enumerate(reels):
        progress.update(number, len(reels), "reels read")
        for path in sorted((reel / EPISODES).glob("take_*.parquet")):
            take = read_take(path)
            rows = clips_of(take.shots, network.frames)
            task = names.setdefault((take.info.suite, take.info.task), len(names))
            frames.append(pictures_for(network.image_size, take.decoded()))
            clips.append(rows + before)
            shots.append(take.shots[rows[:, 0]] + shots_before)
            tasks.append(np.full(len(rows), task, np.int64))
            before += len(take.shots)
            shots_before += int(take.shots[-1]) + 1
    if not sum(map(len, clips)):
        raise UserError(f"the footage has no {network.frames} successive frames: raise footage.shot")
    return Corpus(torch.cat(frames), np.concatenate(clips), np.concatenate(shots), np.concatenate(tasks))
