"""Whose frames are judged, and whose take their place: never the own episode's or task's where it says other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.latents.windows import EpisodeBounds
from world_modality.offline.donors import Donors, judged_frames


@st.composite
def datasets(draw: st.DrawFn) -> tuple[EpisodeBounds, list[str], list[int]]:
    """Bounds and tasks of some episodes, and which of them are judged."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=7))
    ends = np.cumsum(lengths)
    tasks = draw(st.lists(st.sampled_from("abc"), min_size=len(lengths), max_size=len(lengths)))
    chosen = draw(st.sets(st.integers(0, len(lengths) - 1), min_size=1))
    return EpisodeBounds.of(ends - lengths, ends), tasks, sorted(chosen)


@pytest.mark.defect("W15")
@given(dataset=datasets(), seed=st.integers(0, 20))
@settings(max_examples=80, deadline=None)
def test_what_is_drawn_is_of_another_judged_episode_or_task(
    dataset: tuple[EpisodeBounds, list[str], list[int]], seed: int
) -> None:
    bounds, tasks, chosen = dataset
    donors = Donors.of(bounds, chosen, tasks, seed)
    frames = donors.frames
    own = bounds.find(frames)
    assert set(own) == set(chosen)
    assert set(bounds.find(donors.any(frames, "any", 4)).reshape(-1)) <= set(chosen)
    assert ("episode" in donors.lacking) == (len(chosen) < 2)
    assert ("task" in donors.lacking) == (len({tasks[each] for each in chosen}) < 2)
    if "episode" not in donors.lacking:
        drawn = bounds.find(donors.other_episode(frames, "x"))
        assert (drawn != own).all()
        assert set(drawn) <= set(chosen)
    if "task" not in donors.lacking:
        drawn = bounds.find(donors.other_task(frames, "x"))
        assert all(tasks[one] != tasks[other] for one, other in zip(drawn, own, strict=True))
        assert set(drawn) <= set(chosen)


def test_draws_belong_to_the_frame_whatever_is_drawn_beside_it() -> None:
    bounds = EpisodeBounds.of([0, 5, 9], [5, 9, 20])
    donors = Donors.of(bounds, [0, 1, 2], ["a", "b", "a"])
    frames = donors.frames
    whole = donors.other_episode(frames, "x")
    assert np.array_equal(donors.other_episode(frames[[17, 3]], "x"), whole[[17, 3]])
    assert not np.array_equal(donors.other_episode(frames, "y"), whole)
    assert not np.array_equal(Donors.of(bounds, [0, 1, 2], ["a", "b", "a"], 1).other_episode(frames, "x"), whole)


def test_every_frame_of_all_others_can_be_drawn() -> None:
    donors = Donors.of(EpisodeBounds.of([0, 3, 5], [3, 5, 9]), [0, 1, 2], ["a", "b", "c"])
    drawn = {int(donors.other_episode(np.array([4]), f"draw {number}")[0]) for number in range(200)}
    assert drawn == {0, 1, 2, 5, 6, 7, 8}


@pytest.mark.parametrize("most", [1, 4, 100])
def test_judged_frames_are_a_draw_of_those_episodes(most: int) -> None:
    bounds = EpisodeBounds.of([0, 5, 9], [5, 9, 20])
    frames = judged_frames(bounds.only([0, 2]), most)
    assert len(frames) == min(most, 16)
    assert (np.diff(frames) > 0).all()
    assert not set(frames) & set(range(5, 9))
