"""Which frames of an episode the encoder must see, and the latents they become at a replan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from world_modality.encoders.online import HistoryEncoder
from world_modality.rollout.trajectory import Window


class LatentHistory:
    """The memory's cameras' frames that lie in an episode's next replan's window; nothing else is rendered or encoded.

    The window ends ``delay`` steps before the replan, or at the episode's first frame.
    """

    def __init__(self, encoder: HistoryEncoder, cameras: tuple[str, ...], delay: int = 0) -> None:
        self.cameras = cameras
        self._encoder = encoder
        self._delay = delay
        self._frames: dict[int, Mapping[str, NDArray[np.uint8]]] = {}

    def wants(self, step: int, replan_step: int) -> bool:
        """Whether the frame of ``step`` is among the T + m - 1 that a window of ``replan_step`` or later can hold."""
        return replan_step - self._delay - self._encoder.required_frames < step

    def add(self, step: int, frames: Mapping[str, NDArray[np.uint8]]) -> None:
        """Keep each camera's frame of ``step``, uint8 [height, width, 3], and drop what no later window can hold."""
        self._frames[step] = frames
        oldest = step - self._delay - self._encoder.required_frames + 1
        self._frames = {kept: value for kept, value in self._frames.items() if kept >= oldest}

    def window(self, step: int) -> Window:
        """Each camera's frames uint8 [F, H, W, 3] of the window of ``step``; KeyError if one was never added."""
        last = max(0, step - self._delay)
        first = max(0, last - self._encoder.required_frames + 1)
        frames = [self._frames[kept] for kept in range(first, last + 1)]
        return tuple(np.stack([each[camera] for each in frames]) for camera in self.cameras)

    def encode(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """Latents [T, W] float32 of each window, its own or those of other episodes."""
        return self._encoder.encode_many(windows)
