from pathlib import Path

import numpy as np
import pytest
from support.data_stages import drawn_episode, moving_dots

from world_modality.data.episode_file import EpisodeFile, read_episode, read_episode_info, write_episode
from world_modality.data.frames import decode_png, encode_png


def test_an_episode_survives_the_file(tmp_path: Path) -> None:
    episode = drawn_episode(6, number=3, size=64)
    path = tmp_path / "episodes" / "episode_00000.parquet"
    write_episode(path, episode)
    read = read_episode(path)
    assert read.info == episode.info == read_episode_info(path)
    assert read.pictures == episode.pictures
    assert np.array_equal(read.state, episode.state)
    assert np.array_equal(read.action, episode.action)
    assert read.state.dtype == read.action.dtype == np.float32


def test_equal_episodes_give_equal_bytes_and_no_draft_stays(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_episode(tmp_path / name, drawn_episode(4, size=48))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_columns_of_unequal_length_are_refused() -> None:
    episode = drawn_episode(4, size=48)
    with pytest.raises(ValueError, match="differ in length"):
        EpisodeFile(episode.info, episode.pictures, episode.state[:3], episode.action)


def test_png_is_lossless() -> None:
    picture = moving_dots(1)[0]
    assert np.array_equal(decode_png(encode_png(picture)), picture)
