"""Parts of episodes one after the other, in batches that go on from one to the next: the same latents, bit for bit."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.data_stages import encode_episode, encoder_spec, moving_dots

from world_modality.data.episodes import EpisodeTable
from world_modality.encoders import streaming
from world_modality.encoders.encoder import Encoder, load_encoder
from world_modality.encoders.source import build_embedded_encoder
from world_modality.encoders.streaming import encode_parts
from world_modality.latents.shards import cut

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE = 16
PIECE = 5  # frames that are prepared at once


@cache
def folder(kind: str) -> Path:
    place = Path(mkdtemp())
    build_embedded_encoder(encoder_spec(kind, image_size=SIZE), place)
    return place


@cache
def encoder(frames: int, batch: int, kind: str = "vjepa2") -> Encoder:
    return load_encoder(encoder_spec(kind, frames, SIZE, batch=batch), folder(kind))


@cache
def video() -> np.ndarray:
    return moving_dots(120, SIZE)


def streamed(encoder: Encoder, lengths: list[int], longest: int) -> list[tuple[str, np.ndarray]]:
    """The latents of episodes cut out of the video, by the names of their stretches."""
    clip = encoder.spec.frames
    ends = np.cumsum(lengths)
    table = EpisodeTable(ends - lengths, ends, ("task",) * len(lengths), 10)
    parts = (
        (each.name, video()[each.start + each.seen_from(clip) : each.start + each.end], each.clip_rows(clip))
        for each in cut(table, longest)
    )
    return list(encode_parts(encoder, parts))


@given(
    st.lists(st.integers(1, 17), min_size=1, max_size=5),
    st.sampled_from((1, 3, 4, 9)),
    st.sampled_from((1, 3, 7)),
    st.integers(1, 20),
)
@settings(max_examples=15, deadline=None)
def test_a_part_s_latents_are_those_of_its_episode_alone(
    lengths: list[int], clip: int, batch: int, longest: int
) -> None:
    made = encoder(clip, batch)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(streaming, "FRAMES_AT_ONCE", PIECE)
        found = streamed(made, lengths, longest)
    names = [name for name, _ in found]
    assert names == sorted(names)
    ends = np.cumsum(lengths)
    alone = [encode_episode(made, video()[end - length : end]) for length, end in zip(lengths, ends, strict=True)]
    assert np.array_equal(np.concatenate([latents for _, latents in found]), np.concatenate(alone))
    assert {latents.dtype for _, latents in found} == {np.dtype(np.float16)}


def test_each_frame_is_prepared_once_and_few_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder(4, 8, "dinov2")
    monkeypatch.setattr(streaming, "FRAMES_AT_ONCE", PIECE)
    prepared, held = [], []
    prepare, encode = made.prepare, made.encode_prepared

    def counted(frames: np.ndarray) -> object:
        prepared.append(len(frames))
        return prepare(frames)

    def looked_at(frames: np.ndarray, rows: np.ndarray) -> object:
        held.append(len(frames))
        return encode(frames, rows)

    monkeypatch.setattr(made, "prepare", counted)
    monkeypatch.setattr(made, "encode_prepared", looked_at)
    streamed(made, [60, 7, 1, 40], 1000)
    assert sum(prepared) == 108  # not 4 times
    assert max(prepared) == PIECE
    assert max(held) <= PIECE + (8 - 1) + (4 - 1)  # a piece, what waits for a full batch, and what comes before it
    assert len(held) <= 108 // 8 + 1
