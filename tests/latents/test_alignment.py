"""Whether rows are where they belong, told from a sample: made-up latents of which every row is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from world_modality.latents.alignment import Alignment, choose_frames, compare

EPISODES, LENGTH, DIM, CLIP = 60, 40, 16, 4
STARTS = np.arange(EPISODES) * LENGTH
ENDS = STARTS + LENGTH
FRAMES = EPISODES * LENGTH


def walks(seed: int = 0, common: float = 30.0, step: float = 0.3) -> np.ndarray:
    """Latents float16 [N, D]: a slow walk per episode, and a part in common that is larger than all differences."""
    rng = np.random.default_rng(seed)
    each = rng.normal(size=(EPISODES, 1, DIM)) + step * np.cumsum(rng.normal(size=(EPISODES, LENGTH, DIM)), axis=1)
    return (common + each.reshape(FRAMES, DIM)).astype(np.float16)


TRUTH = walks()


def check(rows: np.ndarray, count: int = 64, seed: int = 0, noise: float = 0.0, truth: np.ndarray = TRUTH) -> Alignment:
    sample = choose_frames(STARTS, ENDS, clip=CLIP, count=count, seed=seed)
    encoded = truth[sample.frames].astype(np.float32)
    encoded += noise * np.random.default_rng(9).normal(size=encoded.shape)
    return compare(encoded.astype(np.float16), rows, sample, minimum_cosine=0.98)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 8), st.integers(8, 90), st.integers(0, 3))
@settings(deadline=None)
def test_the_sample_covers_what_goes_wrong(lengths: list[int], clip: int, count: int, seed: int) -> None:
    ends = np.cumsum(lengths)
    starts = ends - lengths
    sample = choose_frames(starts, ends, clip=clip, count=count, seed=seed)
    again = choose_frames(starts, ends, clip=clip, count=count, seed=seed)
    assert np.array_equal(sample.frames, again.frames)
    assert (np.diff(sample.frames) > 0).all()
    assert sample.frames[0] == 0
    assert sample.frames[-1] == ends[-1] - 1
    if ends[-1] <= count:
        assert len(sample.frames) == ends[-1]
    else:
        assert len(sample.frames) <= count
    for frame, place in zip(sample.frames, sample.places, strict=True):
        episode = np.searchsorted(starts, frame, side="right") - 1
        time = frame - starts[episode]
        at_start = time < max(clip - 1, 1)
        assert (place == 0) == at_start
        assert (place == 2) == (not at_start and frame == ends[episode] - 1)


def test_the_sample_is_spread_over_the_dataset() -> None:
    sample = choose_frames(STARTS, ENDS, clip=CLIP, count=64, seed=0)
    assert len(sample.frames) == 64
    counts = np.bincount(sample.places)
    assert counts.tolist() == pytest.approx([30, 18, 16], abs=4)
    assert np.diff(sample.frames // LENGTH).max() <= 2 * EPISODES / 16
    other = choose_frames(STARTS, ENDS, clip=CLIP, count=64, seed=1)
    assert not np.array_equal(sample.frames, other.frames)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_rows_in_their_places_pass_with_the_noise_of_another_device(noise: float) -> None:
    found = check(TRUTH, noise=noise)
    assert found.problem() is None
    assert found.matched.all()
    assert found.offset == 0
    assert found.lines()[-1] == "closest row at an offset of 0 for 64 of 64 frames"
    assert found.lines()[4].split()[:2] == ["all", "64/64"]


@pytest.mark.parametrize("shift", [1, -1, 3, 777])
def test_a_shift_of_all_rows_is_named(shift: int) -> None:
    found = check(np.roll(TRUTH, shift, axis=0))
    side = "before" if shift > 0 else "after"
    problem = found.problem() or ""
    assert problem.endswith(f"on, its rows belong to the frames {abs(shift)} {side} them")
    assert int(problem.split()[3]) <= CLIP
    assert found.offset == shift


def test_a_shift_by_one_is_seen_even_where_little_moves() -> None:
    slow = walks(step=0.02)
    found = check(np.roll(slow, 1, axis=0), truth=slow)
    assert np.median(found.own) > 0.98  # neighbours are nearly alike
    assert found.offset == 1
    assert found.problem() == "from about row 0 on, its rows belong to the frames 1 before them"


@pytest.mark.defect("B2")
@pytest.mark.parametrize("done", [400, 1000, 1500, 2000])
def test_a_making_that_was_resumed_at_the_wrong_frame_is_named(done: int) -> None:
    """Rows from ``done`` on hold the latents of frames 0, 1, ...: some latents are then in the file twice, some not."""
    rows = np.concatenate([TRUTH[:done], TRUTH[: FRAMES - done]])
    problem = check(rows).problem()
    assert problem is not None
    first = int(problem.split()[3])
    assert problem == f"from about row {first} on, its rows belong to the frames {done} before them"
    assert done <= first <= done + 3 * LENGTH + 2 * FRAMES / 16


def test_wrong_starts_alone_are_named() -> None:
    rows = TRUTH.copy()
    for t in range(CLIP - 1):  # the first episode has none before it, and its rows are right
        rows[STARTS[1:] + t] = (0.4 * TRUTH[STARTS[1:] + t] + 0.6 * TRUTH[STARTS[1:] - 1]).astype(np.float16)
    found = check(rows)
    assert found.only_starts_fail()
    assert found.problem() == (
        "its rows at episodes' starts are wrong and all others right: clips reached into the episode before"
    )
    assert not check(TRUTH).only_starts_fail()
    assert not check(walks(seed=1)).only_starts_fail()


def test_rows_swapped_between_episodes_are_named() -> None:
    rows = TRUTH.reshape(EPISODES, LENGTH, DIM)
    order = np.arange(EPISODES)
    order[10:50] = np.random.default_rng(2).permutation(order[10:50])
    problem = check(rows[order].reshape(FRAMES, DIM)).problem()
    assert problem is not None
    assert problem.endswith("sampled frames have their latents in rows of other frames")


def test_another_encoders_latents_are_named() -> None:
    problem = check(walks(seed=1)).problem()
    assert problem is not None
    assert problem.startswith("its rows resemble no latents of this encoder (median cosine ")


def test_a_mean_in_common_hides_nothing() -> None:
    """Without taking the mean away, every cosine would be near 1."""
    other = walks(seed=1)
    plain = (TRUTH.astype(float) * other).sum(1) / np.linalg.norm(TRUTH.astype(float), axis=1)
    assert (plain / np.linalg.norm(other.astype(float), axis=1)).min() > 0.98
    assert np.median(check(other).own) < 0.5


def test_single_broken_rows_are_counted() -> None:
    rows = TRUTH.copy()
    sample = choose_frames(STARTS, ENDS, clip=CLIP, count=64, seed=0)
    broken = sample.frames[sample.places == 1][:4]
    rows[broken] = -rows[broken]
    problem = check(rows).problem()
    assert problem == "4 of 64 sampled frames do not match their rows, nor others"


@pytest.mark.parametrize(("share", "count"), [(0.1, 64), (0.05, 128)])
def test_a_defect_in_a_share_of_rows_is_missed_as_seldom_as_the_docs_say(share: float, count: int) -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for seed in range(60):
        rows = TRUTH.copy()
        wrong = rng.random(FRAMES) < share
        rows[wrong] = walks(seed=3)[wrong]
        missed += check(rows, count=count, seed=seed).problem() is None
    allowed = int(count * 0.02)
    expected = sum(np.exp(_log_choose(count, k)) * share**k * (1 - share) ** (count - k) for k in range(allowed + 1))
    assert missed / 60 <= expected + 0.08


def _log_choose(n: int, k: int) -> float:
    from math import lgamma

    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def test_many_rows_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from world_modality.latents import alignment

    whole = check(np.roll(TRUTH, 500, axis=0))
    monkeypatch.setattr(alignment, "ROWS_AT_ONCE", 97)
    parts = check(np.roll(TRUTH, 500, axis=0))
    assert np.array_equal(whole.located, parts.located)
    assert np.array_equal(whole.twins, parts.twins)
    np.testing.assert_allclose(whole.best, parts.best, atol=1e-6)
