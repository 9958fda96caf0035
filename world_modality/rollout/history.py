"""The frames around an episode's replans: those that were seen, and those that a look ahead shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.online import HistoryEncoder
from world_modality.facts.memory import MODES
from world_modality.facts.policies import family_of
from world_modality.rollout.trajectory import Window
from world_modality.study.specs import EncoderSpec


@dataclass(frozen=True)
class LatentForesight:
    """Makes the memory's future of the frames that a look ahead of ``steps`` control steps shows."""

    driver: str
    encoder: Encoder
    steps: int

    def encode(self, seen: Sequence[tuple[Window, int]]) -> list[NDArray[np.float32]]:
        """Latents float32 [K, P, W] as the cache holds them of the windows' last frames, so many of each.

        Where the episode ended before, its last latent repeats. Each is a function of its window alone.
        """
        found: dict[int, NDArray[np.float32]] = {}
        for count in sorted({count for _, count in seen}):
            places = [place for place, (_, own) in enumerate(seen) if own == count]
            encoded = HistoryEncoder(self.encoder, count).encode_many([seen[place][0] for place in places])
            found |= dict(zip(places, encoded, strict=True))
        return [
            np.concatenate((found[place], np.repeat(found[place][-1:], self.steps - count, axis=0)))
            for place, (_, count) in enumerate(seen)
        ]


class LatentHistory:
    """The memory's cameras' frames that lie in an episode's next replan's window; nothing else is rendered or encoded.

    The window ends ``delay`` steps before the replan, or at the episode's first frame. Where no query is told latents
    of it (``reads`` is false), only those frames are kept that the clips of a look ahead reach back to.
    """

    def __init__(
        self,
        encoder: HistoryEncoder,
        cameras: tuple[str, ...],
        delay: int = 0,
        *,
        alone: bool = False,
        reads: bool = True,
        foresight: LatentForesight | None = None,
    ) -> None:
        self.cameras = cameras
        self.alone = alone
        self.reads = reads
        self.foresight = foresight
        self._encoder = encoder
        self._delay = delay
        self._before = encoder.encoder.spec.frames - 1  # frames of a clip before its last one
        read = delay + encoder.required_frames if reads else 0
        self._reach = max(read, self._before if foresight else 0)
        self._frames: dict[int, Mapping[str, NDArray[np.uint8]]] = {}

    def wants(self, step: int, replan_step: int) -> bool:
        """Whether the frame of ``step`` is among those that a window of ``replan_step`` or later can hold."""
        return replan_step - self._reach < step

    def add(self, step: int, frames: Mapping[str, NDArray[np.uint8]]) -> None:
        """Keep each camera's frame of ``step``, uint8 [height, width, 3], and drop what no later window can hold."""
        self._frames[step] = frames
        oldest = step - self._reach + 1
        self._frames = {kept: value for kept, value in self._frames.items() if kept >= oldest}

    def window(self, step: int) -> Window:
        """Each camera's frames uint8 [F, H, W, 3] of the window of ``step``; KeyError if one was never added."""
        last = max(0, step - self._delay)
        return self._between(max(0, last - self._encoder.required_frames + 1), last)

    def encode(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """Latents [T, W] float32 of each window, its own or those of other episodes."""
        return self._encoder.encode_many(windows)

    def ahead(self) -> LatentHistory:
        """A copy, which keeps what comes until it is encoded."""
        other = copy(self)  # whose frames are another mapping as soon as one is added
        other._frames = dict(self._frames)
        assert self.foresight is not None
        other._reach = self._reach + self.foresight.steps
        return other

    def coming(self, step: int, last: int) -> Window:
        """Each camera's frames uint8 [F, H, W, 3] of the clips that end at the steps after ``step``, up to ``last``."""
        return self._between(max(0, step + 1 - self._before), last)

    def _between(self, first: int, last: int) -> Window:
        frames = [self._frames[kept] for kept in range(first, last + 1)]
        return tuple(np.stack([each[camera] for each in frames]) for camera in self.cameras)


NewHistory = Callable[[], LatentHistory]


def history_maker(config: Any, memory: str, spec: EncoderSpec, folder: Path, device: str) -> NewHistory:
    """What makes an episode's window of the encoder in ``folder``; UserError if the checkpoint was trained with
    another."""
    mode, family = MODES[memory], family_of(config.type)
    encoder = load_encoder(config.rollout_encoder(spec), folder, device)
    foresight = LatentForesight(mode.look_ahead, encoder, config.world_prediction_horizon) if mode.look_ahead else None

    def new() -> LatentHistory:
        return LatentHistory(
            HistoryEncoder(encoder, config.world_context),
            config.cameras,
            mode.delay * config.world_prediction_horizon,
            alone=family.sees_latents,
            reads=mode.needs_history or family.sees_latents,
            foresight=foresight,
        )

    return new
