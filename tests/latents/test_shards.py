"""What a cache is made of: stretches that cover a dataset and see no other episode, and files that are trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.data.episodes import EpisodeTable
from world_modality.latents.shards import Shards, Stretch, cut

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


def test_a_file_of_zeros_as_a_power_cut_leaves_it_is_made_anew(tmp_path: Path) -> None:
    shards = Shards(tmp_path)
    shards.save(STRETCH, LATENTS)
    size = shards.path(STRETCH).stat().st_size
    shards.path(STRETCH).write_bytes(bytes(size))
    assert not shards.has(STRETCH)
