"""Clips of frames that arrive part by part, encoded in batches that go on from one part to the next.

Every frame is prepared once, however many clips it lies in, and only those are held that a clip still needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from world_modality.encoders.encoder import FRAMES_AT_ONCE, Encoder

type Part[Name] = tuple[Name, NDArray[np.uint8], NDArray[np.int64]]
"""A name, frames uint8 [F, H, W, 3], and its clips' frames int64 [n, m]: the newest last, and ascending."""
type Encoded[Name] = tuple[Name, NDArray[np.float16]]
"""A part's name and latents float16 [n, P, D]."""


def encode_parts[Name](encoder: Encoder, parts: Iterable[Part[Name]]) -> Iterator[Encoded[Name]]:
    """Each part's latents, in order; what each is depends on its own frames alone.

    A batch may hold clips of several parts, so only the very last one has to be filled up. A part is given out as soon
    as its last clip is encoded, which may be after the next part was asked for.
    """
    stream = _Stream[Name](encoder)
    for name, frames, clips in parts:
        stream.take(name, frames, clips)
        yield from stream.whole()
    stream.finish()
    yield from stream.whole()


class _Stream[Name]:
    """Prepared frames, the clips of them that wait for a full batch, and latents of parts that are not whole."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._frames: torch.Tensor | None = None  # prepared and still needed, [F, 3, S, S]
        self._clips: NDArray[np.int64] = np.empty((0, encoder.spec.frames), np.int64)  # that wait, as rows of these
        self._parts: deque[tuple[Name, int]] = deque()  # whose latents come next, and how many each has
        self._latents: list[NDArray[np.float16]] = []  # of these parts, as far as they are encoded
        self._encoded = 0

    def take(self, name: Name, frames: NDArray[np.uint8], clips: NDArray[np.int64]) -> None:
        """Prepare a part's frames piece by piece, and encode the clips that become complete, in full batches."""
        self._parts.append((name, len(clips)))
        taken = waits = 0  # frames of the part, and clips that wait or were encoded
        batch = self._encoder.spec.batch
        while taken < len(frames):
            piece = self._encoder.prepare(frames[taken : taken + FRAMES_AT_ONCE])
            shift = self._hold(piece) - taken  # from the part's frames to rows that are held
            taken += len(piece)
            complete = int(np.searchsorted(clips[:, -1], taken))
            self._clips = np.concatenate([self._clips, clips[waits:complete] + shift])
            waits = complete
            self._encode(len(self._clips) // batch * batch)
            needed = [self._clips, clips[waits : waits + 1] + shift]  # a later clip sees no older frame
            self._let_go(min((int(rows.min()) for rows in needed if rows.size), default=None))

    def finish(self) -> None:
        """Encode what waits for more."""
        self._encode(len(self._clips))

    def whole(self) -> Iterator[Encoded[Name]]:
        """The parts of which all is encoded; each once."""
        while self._parts and self._encoded >= self._parts[0][1]:
            name, count = self._parts.popleft()
            latents = np.concatenate(self._latents)
            self._latents = [latents[count:]]
            self._encoded -= count
            yield name, latents[:count]

    def _hold(self, piece: torch.Tensor) -> int:
        """Keep prepared frames; the row of the first."""
        if self._frames is None:
            self._frames = piece
            return 0
        before = len(self._frames)
        self._frames = torch.cat([self._frames, piece])
        return before

    def _let_go(self, count: int | None) -> None:
        """Forget the first ``count`` frames that are held, or all of them."""
        if count is None or self._frames is None:
            self._frames = None
            return
        self._frames = self._frames[count:]
        self._clips = self._clips - count

    def _encode(self, count: int) -> None:
        """Encode the first ``count`` of the waiting clips."""
        if count and self._frames is not None:
            self._latents.append(self._encoder.encode_prepared(self._frames, self._clips[:count]).astype(np.float16))
            self._encoded += count
            self._clips = self._clips[count:]
