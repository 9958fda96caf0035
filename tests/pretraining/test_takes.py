from pathlib import Path

import numpy as np
import pytest
from support.toy_footage import toy_take

from world_modality.pretraining.labels import Labels, label, varying
from world_modality.pretraining.takes import clips_of, read_take, write_take


def test_a_take_is_read_as_it_was_written(tmp_path: Path) -> None:
    take = toy_take(0)
    for name in ("a", "b"):
        write_take(tmp_path / name, take)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    read = read_take(tmp_path / "a")
    assert (read.info, read.pictures, read.cameras) == (take.info, take.pictures, take.cameras)
    for name in ("shots", "hand", "opening", "places", "touched"):
        assert np.array_equal(getattr(read, name), getattr(take, name)), name
    assert read.places.shape == (18, 2, 3)
    assert read.decoded().shape == (18, 32, 32, 3)


def test_no_clip_crosses_a_cut() -> None:
    shots = np.array([0, 0, 0, 0, 0, 2, 2, 2, 3, 3, 3, 3])
    clips = clips_of(shots, 4)
    assert clips.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [8, 9, 10, 11]]
    assert len(clips_of(shots, 6)) == 0


def test_labels_are_of_the_last_frame_and_speeds_of_the_whole_clip() -> None:
    take = toy_take(3)
    clips = clips_of(take.shots, 4)
    found = label(take, clips)
    column = {(group, name): number for number, (group, name) in enumerate(zip(found.groups, found.names, strict=True))}
    values = found.values.T
    assert values[column["hand", "x"]] == pytest.approx(take.hand[clips[:, 3], 0])
    assert values[column["objects", "dot y"]] == pytest.approx(take.places[clips[:, 3], 0, 1])
    moved = take.places[clips[:, 3], 0, 0] - take.places[clips[:, 0], 0, 0]
    assert values[column["object velocities", "dot x"]] == pytest.approx(moved / 0.15)  # three frames at 20 per second
    assert np.array_equal(values[column["contact", "any"]], take.hand[clips[:, 3], 0] > 0.5)


def test_what_never_moves_is_no_target() -> None:
    take = toy_take(3)
    kept = varying(label(take, clips_of(take.shots, 4)))
    assert not any(name.startswith("stone") for name in kept.names)
    assert ("objects", "dot z") not in set(zip(kept.groups, kept.names, strict=True))
    values = np.array([[0.0, 0.0], [0.008, 0.012]])  # by 4 and 6 mm about their means
    assert varying(Labels(values, ("objects",) * 2, ("a", "b"))).names == ("b",)
