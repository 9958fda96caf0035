"""Pictures of frames that have a token, side by side: what does it stand for?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from world_modality.data.frames import FrameReader
from world_modality.latents.windows import EpisodeBounds
from world_modality.store.keys import keyed_seed

Picture = NDArray[np.uint8]
EMPTY = 255  # of cells without a picture


class TokenGrid(NamedTuple):
    """A token, the frames drawn for it, ascending, and their pictures as one, uint8 [H, W, 3]."""

    token: int
    frames: NDArray[np.int64]
    picture: Picture


def frames_with(tokens: NDArray[np.int32], token: int, number: int, seed: int) -> NDArray[np.int64]:
    """At most ``number`` frames that have ``token`` among theirs, of tokens [N, P], drawn and sorted."""
    having = np.flatnonzero((tokens == token).any(axis=1))
    drawn = np.random.default_rng(keyed_seed("token frames", seed, token)).permutation(len(having))[:number]
    return np.sort(having[drawn])


def token_grids(
    reader: FrameReader,
    tokens: NDArray[np.int32],
    wanted: Sequence[int],
    *,
    number: int,
    columns: int,
    pixels: int,
    seed: int,
) -> Iterator[TokenGrid]:
    """A grid of at most ``number`` frames of each wanted token that occurs, of cells ``pixels`` wide."""
    bounds = EpisodeBounds.of(reader.table.starts, reader.table.ends)
    for token in wanted:
        frames = frames_with(tokens, token, number, seed)
        if len(frames):
            cells = [shrunk(picture, pixels) for picture in _pictures(reader, bounds, frames)]
            yield TokenGrid(token, frames, tiled(cells, columns))


def tiled(cells: Sequence[Picture], columns: int) -> Picture:
    """Pictures of one size as one, row by row; what is left of the last row is white."""
    height, width, _ = cells[0].shape
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    grid = np.full((rows * height, columns * width, 3), EMPTY, np.uint8)
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        grid[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell
    return grid


def _pictures(reader: FrameReader, bounds: EpisodeBounds, frames: NDArray[np.int64]) -> Iterator[Picture]:
    """The frames' pictures, ascending as they are; each episode is opened once."""
    episodes = bounds.find(frames)
    for episode in np.unique(episodes):
        own = frames[episodes == episode] - bounds.starts[episode]
        yield from reader.at(int(episode), own.tolist())


def shrunk(picture: Picture, pixels: int) -> Picture:
    """A picture as a square, ``pixels`` wide."""
    return np.asarray(Image.fromarray(picture).resize((pixels, pixels), Image.Resampling.BOX))
