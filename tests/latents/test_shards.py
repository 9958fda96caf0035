"""What a cache is made of: stretches that cover a dataset and see no other episode, and files that are trusted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.data.episodes import EpisodeTable
from world_modality.latents.shards import Shards, Stretch, cut, longest_stretch

LATENTS = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float16)
STRETCH = Stretch(start=100, episode=3, first=10, end=15)


def table(lengths: list[int]) -> EpisodeTable:
    ends = np.cumsum(lengths)
    return EpisodeTable(ends - lengths, ends, ("task",) * len(lengths), 10)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 15), st.integers(1, 20))
def test_every_clip_is_made_once_of_its_own_episode_and_never_of_what_comes_later(
    lengths: list[int], longest: int, clip: int
) -> None:
    stretches = list(cut(table(lengths), longest))
    assert all(1 <= len(each) <= longest for each in stretches)
    assert len({each.name for each in stretches}) == len(stretches)
    seen = []
    for each in stretches:
        clips = each.seen_from(clip) + each.clip_rows(clip)  # steps of the episode
        assert clips.min() >= 0
        assert (clips[:, -1] == np.arange(each.first, each.end)).all()
        assert (clips == np.maximum(clips[:, -1:] + np.arange(1 - clip, 1), 0)).all()
        assert each.clip_rows(clip).min() == 0  # nothing is decoded that no clip sees
        seen += (each.start + clips[:, -1]).tolist()
    assert seen == list(range(sum(lengths)))


def test_a_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    shards = Shards(tmp_path)
    assert not shards.has(STRETCH)
    shards.save(STRETCH, LATENTS)
    assert shards.has(STRETCH)
    loaded = shards.load(STRETCH)
    assert loaded is not None
    assert loaded.dtype == np.float16
    assert np.array_equal(loaded, LATENTS)
    assert [path.name for path in tmp_path.iterdir()] == ["frames_000000110_000000115.npy"]
    with pytest.raises(ValueError, match="4 latents for the 5 frames"):
        shards.save(STRETCH, LATENTS[:4])


@pytest.mark.defect("B2")
@pytest.mark.parametrize("left", [0, 1, 31, 32, 100, -33, -32, -1])
def test_a_shard_that_was_cut_short_is_made_anew(tmp_path: Path, left: int) -> None:
    shards = Shards(tmp_path)
    shards.save(STRETCH, LATENTS)
    path = shards.path(STRETCH)
    path.write_bytes(path.read_bytes()[:left])
    assert not shards.has(STRETCH)
    assert not path.exists()


@pytest.mark.parametrize("byte", [0, 70, 130, -40, -1])
def test_a_shard_with_another_byte_is_made_anew(tmp_path: Path, byte: int) -> None:
    shards = Shards(tmp_path)
    shards.save(STRETCH, LATENTS)
    content = bytearray(shards.path(STRETCH).read_bytes())
    content[byte] ^= 1
    shards.path(STRETCH).write_bytes(content)
    assert shards.load(STRETCH) is None
    assert not shards.path(STRETCH).exists()


@settings(max_examples=3, deadline=None)
@given(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 6)), st.integers(1, 255), st.integers(0, 9))
def test_a_shard_cut_at_any_length_or_changed_in_any_byte_is_made_anew(
    shape: tuple[int, int, int], flipped: int, seed: int
) -> None:
    stretch = Stretch(start=0, episode=0, first=0, end=shape[0])
    with tempfile.TemporaryDirectory() as folder:
        shards = Shards(Path(folder))
        shards.save(stretch, np.random.default_rng(seed).normal(size=shape).astype(np.float16))
        path = shards.path(stretch)
        content = path.read_bytes()
        for place in range(len(content)):
            path.write_bytes(content[:place])
            assert not shards.has(stretch)
            assert not path.exists()
            changed = bytearray(content)
            changed[place] ^= flipped
            path.write_bytes(changed)
            assert shards.has(stretch) == path.exists()  # a quick look may take it for whole, a reading may not
            path.write_bytes(changed)
            assert shards.load(stretch) is None
            assert not path.exists()
        path.write_bytes(content)
        assert shards.has(stretch)
        assert shards.load(stretch) is not None


def test_a_finished_shard_is_told_by_its_ends_and_believed_by_its_digest(tmp_path: Path) -> None:
    shards = Shards(tmp_path)
    shards.save(STRETCH, LATENTS)
    path = shards.path(STRETCH)
    content = path.read_bytes()
    for emptied in (content[:-32] + bytes(32), content + b"1", b"\x93NUMPY" + content[6:80]):
        path.write_bytes(emptied)
        assert not shards.has(STRETCH)
        assert not path.exists()
    path.write_bytes(content[:130] + b"other" + content[135:])
    assert shards.has(STRETCH)
    assert shards.load(STRETCH) is None


def test_a_stretch_of_large_pictures_is_short() -> None:
    for sides, frames in (((256, 256), 512), ((480, 640), 291), ((2160, 3840), 32)):
        assert longest_stretch(sides[0] * sides[1] * 3) == frames
    pieces = list(Stretch(start=100, episode=3, first=10, end=31).pieces(8))
    assert [(each.start, each.episode, each.first, each.end) for each in pieces] == [
        (100, 3, 10, 18),
        (100, 3, 18, 26),
        (100, 3, 26, 31),
    ]


def test_a_file_of_zeros_as_a_power_cut_leaves_it_is_made_anew(tmp_path: Path) -> None:
    shards = Shards(tmp_path)
    shards.save(STRETCH, LATENTS)
    size = shards.path(STRETCH).stat().st_size
    shards.path(STRETCH).write_bytes(bytes(size))
    assert not shards.has(STRETCH)
