import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.outcome_grids import flat, grid

from world_modality.report.figures import matrix_panel, paired_counts, scene_marks, seed_panels


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_every_pair_is_counted_once(pairs):
    treated, control = flat([one for one, _ in pairs], [two for _, two in pairs], list(range(len(pairs))))
    counts = paired_counts(treated, control)
    expected = [sum(pair == kind for pair in pairs) for kind in ((True, True), (True, False), (False, True))]
    assert [counts.both, counts.only_treated, counts.only_control] == expected
    assert counts.neither == len(pairs) - sum(expected)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_a_mark_per_scene_says_who_succeeded(pairs):
    treated, control = flat([one for one, _ in pairs], [two for _, two in pairs], list(range(len(pairs))))
    words = {(True, True): "both", (True, False): "up", (False, True): "down", (False, False): "neither"}
    assert [mark.kind for mark in scene_marks(treated, control)] == [words[pair] for pair in pairs]


def test_episodes_of_a_scene_share_a_mark_as_strong_as_they_differ():
    treated, control = flat([True, True, True, False], [False, True, False, False], [0, 0, 0, 0])
    (mark,) = scene_marks(treated, control)
    assert (mark.kind, mark.strength) == ("up", 0.5)
    svg = matrix_panel(("E2", "E0"), treated, control, {0: "task"}).svg
    assert "fill-opacity: 0.67" in svg  # 0.35 + 0.65 * 2/4


@pytest.mark.parametrize(("wins", "kind"), [(1, "neither"), (2, "half"), (3, "both")])
def test_scenes_on_which_both_do_alike_are_marked_by_what_most_of_their_episodes_did(wins, kind):
    episodes = [place < wins for place in range(4)]
    svg = matrix_panel(("E2", "E0"), *flat(episodes, episodes[::-1], [0, 0, 0, 0]), {0: "task"}).svg
    assert scene_marks(*flat(episodes, episodes[::-1], [0, 0, 0, 0]))[0].kind == kind
    assert ("half of the time" in svg) is (kind == "half")


def test_the_description_tells_the_whole_table_to_a_screen_reader():
    treated, control = flat([True, True, False, False], [True, False, True, False], [0, 1, 2, 3])
    svg = matrix_panel(("E2", "E0"), treated, control, {0: "task"}).svg
    assert "both succeed 1, only E2 1, only E0 1, neither 1" in svg


def test_columns_on_other_episodes_are_refused():
    with pytest.raises(ValueError, match="same episodes"):
        paired_counts(grid([[[[1], [0]]]]), grid([[[[1]]]]))


def test_seeds_are_dots_at_their_mean_over_tasks():
    one = grid([[[[1], [1]], [[0], [0]]], [[[1], [0]], [[0], [0]]]])  # seeds at 50 and 25 percent
    (panel,) = seed_panels({"E0": one})
    assert panel.svg.count("<use") == 2
    assert "E0 50.0, 25.0" in panel.svg


def test_one_seed_shows_nothing_about_seeds():
    assert seed_panels({"E0": grid([[[[1], [0]]]])}) == []
