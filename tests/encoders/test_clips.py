import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from world_modality.encoders.encoder import clip_rows, history_ends


@given(st.integers(1, 30), st.integers(1, 9))
def test_clip_rows_equal_a_plain_loop(length: int, frames: int) -> None:
    rows = clip_rows(np.arange(length), frames)
    for end in range(length):
        clip: list[int] = []
        for back in range(frames):
            clip.insert(0, end - back if end - back >= 0 else 0)
        assert rows[end].tolist() == clip


@given(st.integers(0, 40), st.integers(1, 8), st.integers(1, 8))
def test_a_window_of_the_last_frames_names_the_same_frames_as_the_whole_episode(
    newest: int, context: int, m: int
) -> None:
    seen = min(newest + 1, context + m - 1)
    first = newest + 1 - seen
    window = clip_rows(history_ends(seen - 1, context), m) + first
    whole = clip_rows(history_ends(newest, context), m)
    assert np.array_equal(window, whole)
