from itertools import permutations

import pytest

from world_modality.benchmarks.libero.expert.goals import VERBS, companions, errands

DRAWER = {"cabinet_1_top_region": "cabinet_1_top_region"}
OVEN = {"microwave_1_heating_region": "microwave_1"}


def order(goal, doors=None) -> list[tuple[str, ...]]:
    return [errand.condition for errand in errands(goal, doors or {})]


def test_a_drawer_is_opened_for_what_goes_in_though_nobody_asks() -> None:
    put = ("in", "bowl_1", "cabinet_1_top_region")
    opened, placed = errands([put], DRAWER)
    assert opened.condition == ("open", "cabinet_1_top_region")
    assert [each.condition for each in opened.for_what] == [put]
    assert placed.condition == put
    assert not placed.for_what


def test_what_is_asked_to_be_open_is_opened_once_and_stays_open() -> None:
    goal = [("in", "bowl_1", "cabinet_1_top_region"), ("open", "cabinet_1_top_region")]
    opened, _ = errands(goal, DRAWER)
    assert opened.condition == ("open", "cabinet_1_top_region")
    assert not opened.for_what


@pytest.mark.parametrize("doors", [DRAWER, OVEN])
def test_what_goes_in_does_so_between_opening_and_closing(doors: dict[str, str]) -> None:
    ((target, door),) = doors.items()
    goal = [("close", door), ("in", "mug_1", target)]
    for given in permutations(goal):
        assert order(given, doors) == [("open", door), ("in", "mug_1", target), ("close", door)]


def test_other_drawers_are_closed_before_something_is_put_on_top() -> None:
    goal = [("on", "bowl_1", "cabinet_1_top_side"), ("close", "cabinet_1_top_region")]
    assert order(goal) == [goal[1], goal[0]]


def test_knobs_come_before_what_stands_in_their_way() -> None:
    goal = [("on", "pot_1", "stove_1_cook_region"), ("turnon", "stove_1")]
    assert order(goal) == [goal[1], goal[0]]


def test_what_carries_something_is_put_in_its_place_before() -> None:
    goal = [("on", "bowl_1", "bowl_2"), ("in", "bowl_2", "tray_1_contain_region"), ("on", "spoon_1", "bowl_1")]
    for given in permutations(goal):
        assert order(given) == [goal[1], goal[0], goal[2]]


def test_two_that_carry_each_other_are_still_both_there() -> None:
    goal = [("on", "bowl_1", "bowl_2"), ("on", "bowl_2", "bowl_1")]
    assert sorted(order(goal)) == sorted(goal)


def test_every_verb_has_its_errand() -> None:
    for predicate, verb in VERBS.items():
        target = ("somewhere",) if verb == "place" else ()
        (errand,) = errands([(predicate, "thing_1", *target)], {})
        assert errand.verb == verb
        assert errand.thing == "thing_1"


def test_things_that_share_a_place_are_counted_in_the_goals_order() -> None:
    goal = [("in", "soup_1", "basket"), ("on", "milk_1", "basket"), ("in", "milk_1", "basket"), ("close", "basket")]
    assert companions(goal, goal[2]) == ("soup_1", "milk_1")
    assert companions(goal, goal[1]) == ("milk_1",)
