"""Which frames a model is judged on, and whose world takes the place of a frame's own when it is corrupted.

All draws are keyed by the frame, so that every checkpoint meets the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from world_modality.latents.windows import EpisodeBounds
from world_modality.store.keys import keyed_seed
from world_modality.tokens.baselines import frames_of

Frames = NDArray[np.int64]


def judged_frames(bounds: EpisodeBounds, most: int) -> Frames:
    """The frames of some episodes, ascending; a keyed draw of ``most`` of them if there are more."""
    frames = frames_of(bounds)
    if len(frames) <= most:
        return frames
    drawn = np.random.default_rng(keyed_seed("offline", "judged")).choice(len(frames), most, replace=False)
    return frames[np.sort(drawn)]


@dataclass(frozen=True)
class Donors:
    """The frames of the judged episodes: what takes a frame's place is taken from them and from no other."""

    bounds: EpisodeBounds  # of the judged episodes
    tasks: tuple[str, ...]  # of each of them
    seed: int = 0

    @classmethod
    def of(cls, bounds: EpisodeBounds, episodes: Sequence[int], tasks: Sequence[str], seed: int = 0) -> Donors:
        """The frames of some ``episodes`` of a dataset with these bounds and tasks."""
        ascending = sorted(set(episodes))
        return cls(bounds.only(ascending), tuple(tasks[each] for each in ascending), seed)

    @cached_property
    def frames(self) -> Frames:
        """All of them, ascending: [M]."""
        return frames_of(self.bounds)

    @property
    def lacking(self) -> dict[str, str]:
        """``episode`` or ``task``, of which there is no other: why not."""
        found = {}
        if len(self.bounds.starts) < 2:
            found["episode"] = "only one episode is judged"
        if len(set(self.tasks)) < 2:
            found["task"] = "the judged episodes are of one task"
        return found

    def any(self, frames: Frames, purpose: str, number: int) -> Frames:
        """Per frame [B] so many judged ones, each drawn by itself: [B, number]."""
        places = [self._generator(purpose, frame).integers(len(self.frames), size=number) for frame in frames]
        return self.frames[np.array(places, np.int64).reshape(len(frames), number)]

    def other_episode(self, frames: Frames, purpose: str) -> Frames:
        """Per frame [B] one of the other judged episodes, all their frames alike: [B]."""
        starts, ends = self.bounds.around(frames)
        first = np.searchsorted(self.frames, starts)
        place = np.array(
            [
                self._generator(purpose, frame).integers(len(self.frames) - own)
                for frame, own in zip(frames, ends - starts, strict=True)
            ],
            np.int64,
        )
        chosen: Frames = self.frames[np.where(place < first, place, place + ends - starts)]
        return chosen

    def other_task(self, frames: Frames, purpose: str) -> Frames:
        """Per frame [B] one of a judged episode of another task: [B]."""
        episodes = self.bounds.find(frames)
        strangers = [self._of_other_tasks[self.tasks[episode]] for episode in episodes]
        return np.array(
            [
                other[self._generator(purpose, frame).integers(len(other))]
                for frame, other in zip(frames, strangers, strict=True)
            ],
            np.int64,
        )

    @cached_property
    def _of_other_tasks(self) -> dict[str, Frames]:
        task = np.array(self.tasks)[self.bounds.find(self.frames)]
        return {name: self.frames[task != name] for name in dict.fromkeys(self.tasks)}

    def _generator(self, purpose: str, frame: int | np.int64) -> np.random.Generator:
        return np.random.default_rng(keyed_seed("offline", purpose, self.seed, int(frame)))
