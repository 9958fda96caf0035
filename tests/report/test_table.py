import pytest
from support.toy_results import LANGUAGES

from world_modality.evidence.paired import tango
from world_modality.evidence.proportions import wilson
from world_modality.report.arms import check_arms
from world_modality.report.names import short_names
from world_modality.report.results import load_results
from world_modality.report.table import build_table


def table_of(toy):
    spec, rollouts, trainings = toy.write()
    return build_table(spec, load_results(spec, rollouts), check_arms(trainings))


def rate(table, column, task):
    return next(rate for rate in table["rates"] if (rate["column"], rate["task"]) == (column, task))


def check(table, name):
    return next(check for check in table["checks"] if name in check["name"])


def test_rates_by_hand(toy):
    table = table_of(toy)
    assert (rate(table, "E2", 0)["successes"], rate(table, "E2", 0)["units"]) == (4, 4)
    overall = rate(table, "E2", None)
    assert (overall["successes"], overall["units"]) == (6, 8)
    assert overall["low"] == pytest.approx(wilson(6, 8).low, abs=1e-6)
    assert table["episodes"] == 40
    assert table["trials_per_column"] == 8
    assert table["units_per_task"] == [4]


def test_differences_by_hand(toy):
    found = {(d["treated"], d["control"]): d for d in table_of(toy)["differences"]}
    gain = found["E2", "E0"]
    assert (gain["only_treated"], gain["only_control"], gain["pairs"]) == (2, 0, 8)
    assert gain["estimate"] == 0.25
    assert gain["low"] == pytest.approx(tango(2, 0, 8).low, abs=1e-6)
    assert found["E1", "E0"]["estimate"] == 0
    assert found["E2", "E2-random"]["only_treated"] == 3


def test_several_seeds_share_their_scenes(toy):
    toy.seeds = (0, 1, 2)
    table = table_of(toy)
    gain = next(d for d in table["differences"] if d["control"] == "E0")
    assert (gain["pairs"], gain["scenes"]) == (24, 8)
    assert table["seeds"] == [0, 1, 2]
    assert table["units_per_task"] == [4]
    assert any("more than once" in note for note in table["notes"])
    one = table_of(type(toy)(toy.root / "one"))
    assert table["detectable"] == one["detectable"]  # identical copies of a scene add nothing


def test_too_few_units_are_called_too_few(toy):
    assert table_of(toy)["too_few"]
    assert "Too few" in table_of(toy)["notes"][0]


def test_zero_memory_must_repeat_the_plain_arm(toy):
    assert check(table_of(toy), "E1 equals E0") == {
        "name": "E1 equals E0, unit by unit",
        "passed": True,
        "detail": "0 of 8 units differ",
    }
    toy.outcomes["E1"] = ("1100", "0010")
    broken = check(table_of(toy), "E1 equals E0")
    assert broken["passed"] is False
    assert (
        broken["detail"]
        == "1 of 8 units differ: seed 0, libero_spatial task 0, init state 13, repeat 0 (on CPU this is a bug)"
    )


def test_an_equal_outcome_after_other_steps_is_a_difference_too(toy):
    toy.edit = lambda column, values: values.update(steps=values["steps"] - 1) if column == "E1" else None
    assert check(table_of(toy), "E1 equals E0")["detail"].startswith("8 of 8 units differ")


def test_off_cpu_a_difference_is_shown_and_not_judged(toy):
    toy.outcomes["E1"] = ("1100", "0010")
    toy.edit = lambda column, values: values.update(device="cuda")
    assert check(table_of(toy), "E1 equals E0")["passed"] is None


@pytest.mark.parametrize(("outcomes", "passed"), [(("0000", "0000"), False), (("1111", "1111"), False)])
def test_a_control_without_room_fails_its_check(toy, outcomes, passed):
    toy.outcomes["E0"] = outcomes
    assert check(table_of(toy), "E0 leaves room")["passed"] is passed


def test_mixed_versions_and_devices_fail_their_checks(toy):
    toy.edit = lambda column, values: values.update(versions={"torch": "9"}, device="cuda") if column == "E2" else None
    table = table_of(toy)
    assert check(table, "software")["passed"] is False
    assert check(table, "device")["detail"] == "2 differ: cpu / cuda"


def test_short_names_drop_what_all_share():
    cups = {0: "put the cup on the plate", 4: "put the bowl on the plate"}
    assert short_names(cups) == {0: "cup on the plate", 4: "bowl on the plate"}
    assert short_names(dict(enumerate(LANGUAGES))) == {0: "between the plate and the ramekin", 1: "next to the ramekin"}
    assert short_names({2: "open the drawer and close it"}) == {2: "open the drawer and close it"}
    assert short_names({0: "open", 1: "open the drawer"}) == {0: "open", 1: "the drawer"}
    assert short_names({0: "turn left", 1: "turn left"}) == {0: "turn left", 1: "turn left"}
    assert len(short_names({0: "word " * 30})[0]) <= 40
