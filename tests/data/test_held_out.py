from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from world_modality.data.episodes import held_out_episodes

tasks = st.lists(st.sampled_from("abcd"), min_size=1, max_size=60)
shares = st.floats(0.001, 0.5)


@given(tasks, shares)
def test_of_every_task_that_can_spare_some_about_the_share_is_held_out(names: list[str], share: float) -> None:
    chosen = held_out_episodes(names, share)
    assert chosen == tuple(sorted(set(chosen)))
    assert set(chosen) < set(range(len(names)))
    taken, there = Counter(names[episode] for episode in chosen), Counter(names)
    for task, count in there.items():
        if count == 1:
            assert taken[task] == 0
        else:
            assert 1 <= taken[task] < count
            assert taken[task] == 1 or abs(taken[task] - share * count) <= 0.5 + 1e-9


@given(tasks, shares, shares)
def test_the_choice_depends_on_numbers_alone_and_grows_with_the_share(names: list[str], a: float, b: float) -> None:
    small, large = sorted((a, b))
    assert set(held_out_episodes(names, small)) <= set(held_out_episodes(names, large))
    assert held_out_episodes([f"task {name}" for name in names], a) == held_out_episodes(names, a)
    assert held_out_episodes(names, 0.0) == ()


def test_the_choice_is_the_same_on_every_machine_and_run() -> None:
    """Pinned: another choice would be another training under the same key."""
    assert held_out_episodes(["a"] * 9 + ["b"] * 9 + ["c"] * 9, 0.1) == (4, 15, 18)
    assert held_out_episodes(["a", "b"] * 10, 0.3) == (3, 4, 6, 15, 17, 18)


@pytest.mark.parametrize(("episodes", "share", "count"), [(5, 0.1, 1), (15, 0.1, 2), (10, 0.25, 3), (2, 0.5, 1)])
def test_half_an_episode_is_rounded_up(episodes: int, share: float, count: int) -> None:
    assert len(held_out_episodes(["a"] * episodes, share)) == count


def test_another_purpose_is_another_choice() -> None:
    names = ["a"] * 40
    assert held_out_episodes(names, 0.2) != held_out_episodes(names, 0.2, "ridge")
