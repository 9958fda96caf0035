import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.latents.windows import EpisodeBounds, future_rows, past_rows

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def bounds_of(sizes: list[int]) -> EpisodeBounds:
    ends = np.cumsum(sizes)
    return EpisodeBounds(ends - sizes, ends)


@pytest.mark.defect("B1")
@given(sizes=lengths, context=st.integers(1, 9), prediction_horizon=st.integers(1, 9))
def test_every_window_equals_a_walk_through_its_episode(
    sizes: list[int], context: int, prediction_horizon: int
) -> None:
    episodes = [[(episode, step) for step in range(size)] for episode, size in enumerate(sizes)]
    frames = [frame for episode in episodes for frame in episode]
    bounds = bounds_of(sizes)
    index = np.arange(bounds.frames)
    start, end = bounds.around(index)
    past = past_rows(index, start, context)
    future, valid = future_rows(index, end, prediction_horizon)
    for row, (episode, step) in enumerate(frames):
        expected_past = [episodes[episode][max(step - context + 1 + j, 0)] for j in range(context)]
        assert [frames[i] for i in past[row]] == expected_past
        for j in range(prediction_horizon):
            exists = step + 1 + j < sizes[episode]
            assert valid[row, j] == exists
            assert frames[future[row, j]] == episodes[episode][step + 1 + j if exists else -1]


@given(sizes=lengths, context=st.integers(1, 9), prediction_horizon=st.integers(1, 9), gap=st.integers(0, 5))
def test_nothing_crosses_an_episode_even_with_gaps_between_them(
    sizes: list[int], context: int, prediction_horizon: int, gap: int
) -> None:
    starts = np.cumsum([0, *[size + gap for size in sizes[:-1]]])
    bounds = EpisodeBounds(starts, starts + sizes)
    index = np.concatenate([np.arange(a, b) for a, b in zip(bounds.starts, bounds.ends, strict=True)])
    start, end = bounds.around(index)
    rows = np.concatenate([past_rows(index, start, context), future_rows(index, end, prediction_horizon)[0]], axis=1)
    assert (rows >= start[:, None]).all()
    assert (rows < end[:, None]).all()


@given(sizes=lengths, order=st.randoms(use_true_random=False))
def test_a_frame_has_the_same_window_in_any_batch(sizes: list[int], order: object) -> None:
    bounds = bounds_of(sizes)
    index = np.arange(bounds.frames)
    shuffled = index.copy()
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = past_rows(index, bounds.around(index)[0], 3)
    assert (past_rows(shuffled, bounds.around(shuffled)[0], 3) == whole[shuffled]).all()


def test_a_frame_outside_every_episode_is_an_error() -> None:
    bounds = EpisodeBounds(np.array([2, 8]), np.array([5, 9]))
    for frame in (0, 1, 5, 7, 9, 100):
        with pytest.raises(IndexError, match=f"frame {frame}"):
            bounds.around(np.array([3, frame]))


@pytest.mark.parametrize(("starts", "ends"), [([], []), ([0], [0]), ([0, 2], [3, 5]), ([3, 0], [5, 2]), ([0, 2], [2])])
def test_ranges_that_are_no_episodes_are_refused(starts: list[int], ends: list[int]) -> None:
    with pytest.raises(ValueError, match="episode ranges"):
        EpisodeBounds(np.array(starts, np.int64), np.array(ends, np.int64))


@given(sizes=lengths, data=st.data())
def test_some_episodes_and_the_others_share_the_frames_out(sizes: list[int], data: st.DataObject) -> None:
    bounds = bounds_of([*sizes, 3])
    chosen = data.draw(st.sets(st.integers(0, len(sizes)), min_size=1, max_size=len(sizes)))
    frames = {
        episode: set(range(start, end))
        for episode, (start, end) in enumerate(zip(bounds.starts, bounds.ends, strict=True))
    }
    for part, own in ((bounds.only(tuple(chosen)), chosen), (bounds.without(tuple(chosen)), frames.keys() - chosen)):
        held = [set(range(start, end)) for start, end in zip(part.starts, part.ends, strict=True)]
        assert held == [frames[episode] for episode in sorted(own)]
