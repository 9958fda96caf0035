"""Which frames a Prophet is fitted on, which it is chosen by, and which it is judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.data.episodes import held_out_episodes
from world_modality.latents.windows import EpisodeBounds
from world_modality.memory.lookup import LatentLookup, LatentWindow
from world_modality.memory.ridge import FEW, FrameIndices, Windows
from world_modality.memory.standardiser import Standardiser
from world_modality.store.keys import keyed_seed

MOST_FRAMES = 65536  # to fit on, and to judge on: more take hours and move no figure
CHOOSING = 0.2  # share of the training episodes that choose: penalties, rank, when to stop, what is kept
BATCH = 256

Parts = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingFrames:
    """Frames of training episodes with a future, and the parts that their episodes are in."""

    frames: FrameIndices  # [n], ascending
    ahead: FrameIndices  # [n]: how many of the next K frames exist, 1 to K
    episode: FrameIndices  # [n]: the training episode's number, from 0
    part: Parts  # [n]: 0 for the episodes that choose, 1.. for those that are fitted on

    @classmethod
    def of(cls, trained: EpisodeBounds, prediction_horizon: int, parts: int) -> Self:
        """Of the training episodes, cut into those that choose and ``parts`` further parts, none of them empty."""
        frames = frames_with_future(trained, "fitted")
        start, end = trained.around(frames)
        episode = np.searchsorted(trained.starts, start)
        ahead = np.minimum(end - 1 - frames, prediction_horizon)
        return cls(frames, ahead, episode, parts_of(len(trained.starts), parts)[episode])


def parts_of(episodes: int, parts: int) -> Parts:
    """Part of each training episode: 0 for a fifth of them, at least one unless there is only one, and then no more of
    the others' parts than there are others."""
    found = np.ones(episodes, np.int64)
    choosing = list(held_out_episodes([""] * episodes, CHOOSING, "ridge"))
    others = [episode for episode in range(episodes) if episode not in set(choosing)]
    for place, episode in enumerate(sorted(others, key=lambda number: keyed_seed("prophet part", number))):
        found[episode] = 1 + place % parts
    found[choosing] = 0
    return found


def frames_with_future(bounds: EpisodeBounds, purpose: str) -> FrameIndices:
    """The frames of ``bounds`` but for each episode's last, ascending; a keyed draw of ``MOST_FRAMES`` if more."""
    spans = zip(bounds.starts, bounds.ends, strict=True)
    frames = np.concatenate([np.arange(start, end - 1, dtype=np.int64) for start, end in spans])
    if len(frames) <= MOST_FRAMES:
        return frames
    drawn = np.random.default_rng(keyed_seed("prophet", purpose)).choice(len(frames), MOST_FRAMES, replace=False)
    return frames[np.sort(drawn)]


def batches(frames: FrameIndices, tokens: int) -> Iterator[FrameIndices]:
    """``BATCH`` frames at once, fewer where many tokens stand for each: bounds memory."""
    size = batch_size(tokens)
    return (frames[start : start + size] for start in range(0, len(frames), size))


def batch_size(tokens: int) -> int:
    """Frames at once, of ``tokens`` each."""
    return max(1, BATCH * FEW // max(FEW, tokens))


def standardised_windows(
    lookup: LatentLookup, standardiser: Standardiser, context: int, prediction_horizon: int, device: str
) -> Windows:
    """What gives the standardised latents around frames, on ``device``."""

    def windows(frames: FrameIndices) -> LatentWindow:
        found = lookup.window(torch.from_numpy(frames), context, prediction_horizon).to(torch.device(device))
        return LatentWindow(standardiser(found.history), standardiser(found.future), found.valid)

    return windows
