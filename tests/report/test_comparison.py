import json
from dataclasses import replace

import numpy as np
import pytest
from support.record_files import write_records

from world_modality.cli.report import compare_sets
from world_modality.errors import UserError
from world_modality.evidence.outcomes import outcomes_of
from world_modality.evidence.resampling import sign_flip
from world_modality.facts.policies import BIAS_CONTROL
from world_modality.report.comparison import as_data, compare, render_comparison
from world_modality.report.record_sets import RecordSet, read_set
from world_modality.report.results import Trial
from world_modality.rollout.records import OWN_NOISE

BETTER = {0: "1111111111", 1: "1111111101"}
WORSE = {0: "1100000000", 1: "1010000000"}


def compared(tmp_path, one, two, two_values=None, **values):
    first = write_records(tmp_path / "one.jsonl", one, **{"checkpoint": "one", **values})
    second = write_records(tmp_path / "two.jsonl", two, **{"checkpoint": "two", **values, **(two_values or {})})
    return compare(read_set(first), read_set(second), margin=0.05)


def test_episodes_are_paired_and_the_sign_test_decides(tmp_path):
    found = compared(tmp_path, BETTER, WORSE)
    here, anew = found.verdicts
    gaps = np.array([int(a) - int(b) for task in (0, 1) for a, b in zip(BETTER[task], WORSE[task], strict=True)])
    expected = sign_flip(gaps, np.ones_like(gaps), np.random.default_rng(0))
    assert here.effect.p_greater == pytest.approx(expected.p_greater)
    assert here.effect.estimate == pytest.approx(gaps.mean())
    assert here.word == "helps"
    assert (anew.word, anew.effect.scope) == ("cannot tell", "recipe")  # one run of each says nothing about another
    assert found.unpaired is None


def test_exchanging_the_sets_exchanges_the_verdict(tmp_path):
    first, second = (read_set(write_records(tmp_path / f"{n}.jsonl", o)) for n, o in (("a", BETTER), ("b", WORSE)))
    there, back = (compare(*pair, margin=0.05).verdicts[0] for pair in ((first, second), (second, first)))
    assert (there.word, back.word) == ("helps", "hurts")
    assert there.effect.estimate == -back.effect.estimate
    assert there.effect.interval.low == pytest.approx(-back.effect.interval.high, abs=0.02)


def test_other_scenes_are_not_paired(tmp_path):
    found = compared(tmp_path, BETTER, WORSE, {"init_state_digest": "other"})
    assert found.verdicts == ()
    assert found.unpaired.episodes == (20, 20)
    assert found.unpaired.interval.estimate == pytest.approx(19 / 20 - 4 / 20)
    assert any("different scenes" in each for each in found.warnings)
    assert "not paired" in render_comparison(found)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"render": "stock"}, "pictures of another style"),
        ({"settled": {"plate_1": [0.1, 0.2, 0.8, 1.0, 0.0, 0.0, 0.0]}}, "objects that settled elsewhere"),
        ({"assets_digest": "b" * 16}, "other object models"),
        ({"environment_seed": 3}, "other seeds"),
    ],
)
def test_what_differs_in_the_scenes_is_told_and_gets_no_word(tmp_path, changed, told):
    found = compared(tmp_path, BETTER, WORSE, changed)
    assert found.verdicts == ()
    assert found.unpaired.interval.estimate == pytest.approx(19 / 20 - 4 / 20)
    assert any(f"they met different scenes ({told})" in each for each in found.warnings)
    assert ("styles of pictures differ: fast against stock" in found.warnings) is ("render" in changed)
    assert ("not simulated alike (render fast / stock)" in found.withheld) is ("render" in changed)
    assert ("No verdict, since" in render_comparison(found)) is ("render" in changed)


def test_what_a_record_does_not_say_is_no_other_scene(tmp_path):
    untold = {"init_state_digest": "", "assets_digest": "", "environment_seed": None, "render": "", "settled": {}}
    found = compared(tmp_path, BETTER, WORSE, untold)
    assert found.unpaired is None
    assert found.verdicts[0].word == "helps"


SOFTWARE = {
    "torch": "2.11.0",
    "mujoco": "3.3.2",
    "robosuite": "1.4.0",
    "hf-libero": "0.1.4",
    "opengl": "osmesa",
    "physics": "quick",
}


@pytest.mark.parametrize(
    "changed", [{"mujoco": "3.8.1"}, {"robosuite": "1.5.0"}, {"opengl": "egl"}, {"physics": "exact"}]
)
def test_other_software_of_the_simulation_withholds_the_word_and_no_number(tmp_path, changed):
    (name, other), *_ = changed.items()
    plain = compared(tmp_path, BETTER, WORSE, versions=SOFTWARE)
    found = compared(tmp_path, BETTER, WORSE, {"versions": SOFTWARE | changed}, versions=SOFTWARE)
    here, there = as_data(found)["verdicts"][0], as_data(plain)["verdicts"][0]
    assert {key for key in here if here[key] != there[key]} == {"word", "reason", "sentence"}
    assert (here["word"], there["word"]) == ("withheld", "helps")
    versions = " / ".join(sorted((SOFTWARE[name], other)))
    told = f"episodes on libero_spatial were not simulated alike ({name} {versions}): roll all of them out with one"
    assert as_data(found)["withheld"].startswith(told)
    text = render_comparison(found)
    assert f"No verdict, since {told}" in text
    assert "+75.0 [" in text
    assert not any(word in text for word in ("Helps", "Hurts", "Equivalent", "Cannot tell", "raised success"))


@pytest.mark.parametrize("versions", [SOFTWARE | {"torch": "2.12.0"}, {"torch": "2.11.0"}, {}])
def test_other_software_of_the_policy_or_none_told_withholds_nothing(tmp_path, versions):
    found = compared(tmp_path, BETTER, WORSE, {"versions": versions}, versions=SOFTWARE)
    assert (found.withheld, found.verdicts[0].word) == ("", "helps")


def test_a_set_of_two_simulators_in_itself_gets_no_word(tmp_path):
    one, two = (
        read_set(write_records(tmp_path / f"{name}.jsonl", own, versions=SOFTWARE))
        for name, own in (("one", BETTER), ("two", WORSE))
    )
    first, record = next(iter(one.records.items()))
    mixed = {**one.records, first: replace(record, versions=SOFTWARE | {"mujoco": "3.8.1"})}
    assert "mujoco 3.3.2 / 3.8.1" in compare(RecordSet("one", mixed), two, margin=0.05).withheld
    assert compare(one, two, margin=0.05).withheld == ""


def test_of_a_suite_that_is_not_known_here_any_software_may_simulate(tmp_path):
    about = {"suite": "elsewhere", "versions": {"engine": "1", "served engine": "1"}}
    found = compared(tmp_path, BETTER, WORSE, {"versions": {"engine": "2", "served engine": "1"}}, **about)
    assert "on elsewhere" in found.withheld
    assert not compared(tmp_path, BETTER, WORSE, {"versions": {"engine": "1", "served engine": "2"}}, **about).withheld


def test_nothing_is_said_of_assets_where_a_suite_needs_none(tmp_path):
    found = compared(tmp_path, BETTER, WORSE, suite="metaworld_mt50", assets="", assets_digest="")
    assert found.verdicts[0].word == "helps"
    assert not any("assets" in each for each in found.warnings)
    untold = compared(tmp_path, BETTER, WORSE, assets="", assets_digest="")
    assert "simulator assets are not told by every record, and may differ" in untold.warnings


def test_only_common_episodes_count_and_the_rest_is_told(tmp_path):
    found = compared(tmp_path, {0: "1111"}, {0: "00"})
    assert len(found.conditions[0]) == len(found.conditions[1]) == 2
    assert "2 of one's 4 episodes have no counterpart and are left out" in found.warnings


def test_other_software_and_devices_are_told(tmp_path):
    found = compared(tmp_path, BETTER, WORSE, {"versions": {"torch": "2.12.0"}, "device": "cuda"})
    assert "devices differ: cpu against cuda" in found.warnings
    assert "software versions differ: torch 2.11.0 against torch 2.12.0" in found.warnings


def test_what_some_records_do_not_tell_may_differ(tmp_path):
    found = compared(tmp_path, BETTER, WORSE, {"device": "", "versions": {}})
    assert "devices are not told by every record, and may differ" in found.warnings
    assert "software versions are not told by every record, and may differ" in found.warnings
    assert not any("simulator assets" in each for each in found.warnings)


def test_what_started_from_unknown_states_is_not_paired(tmp_path):
    metrics = {"successes": [True, False, True]}
    info = {"per_task": [{"task_group": "libero_spatial", "task_id": 0, "metrics": metrics}]}
    (tmp_path / "eval_info.json").write_text(json.dumps(info))
    one = read_set(write_records(tmp_path / "E2.jsonl", {0: "111"}))
    found = compare(one, read_set(tmp_path / "eval_info.json"), margin=0.05)
    assert found.unpaired is not None
    assert found.unpaired.p is None, "some may have started from the same state"
    assert any("the initial states of" in each and "lerobot-wm-eval notes it" in each for each in found.warnings)


def test_noise_that_a_policy_draws_by_itself_is_told_and_unpairs_nothing(tmp_path):
    found = compared(tmp_path, BETTER, WORSE, {"flow_seed": None, "note": OWN_NOISE})
    assert any("draws its own noise" in each for each in found.warnings)
    assert found.verdicts[0] == compared(tmp_path, BETTER, WORSE).verdicts[0]


def test_sets_without_a_common_task_are_refused(tmp_path):
    with pytest.raises(UserError, match="one and two share no task"):
        compared(tmp_path, {0: "1"}, {1: "1"})


def test_the_command_prints_rates_and_writes_json(tmp_path):
    one = write_records(tmp_path / "E2.jsonl", BETTER)
    two = write_records(tmp_path / "E0.jsonl", WORSE)
    text = compare_sets(one, two, 0.05, tmp_path / "out.json")
    assert "success by +75.0 points against E0 (E2 - E0" in text
    assert "19/20 [76-99]" in text
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["verdicts"][0]["word"] == "helps"
    overall = [rate for rate in data["rates"] if rate["task"] is None]
    assert [(rate["set"], rate["successes"]) for rate in overall] == [("E2", 19), ("E0", 4)]


def test_an_output_that_cannot_be_written_is_named_with_its_option(tmp_path):
    one, two = (write_records(tmp_path / f"{name}.jsonl", each) for name, each in (("E2", BETTER), ("E0", WORSE)))
    with pytest.raises(UserError, match=r"--json: .*E2\.jsonl/out\.json cannot be written"):
        compare_sets(one, two, 0.05, one / "out.json")


@pytest.mark.parametrize("margin", [float("nan"), 0.0, 1.0, -0.1])
def test_a_margin_is_a_fraction(tmp_path, margin):
    one, two = (write_records(tmp_path / f"{name}.jsonl", each) for name, each in (("E2", BETTER), ("E0", WORSE)))
    with pytest.raises(UserError, match="--margin"):
        compare_sets(one, two, margin, None)


def test_a_set_is_not_compared_with_itself(tmp_path):
    one = write_records(tmp_path / "a.jsonl", BETTER)
    with pytest.raises(UserError, match="the same records"):
        compare_sets(one, tmp_path / "." / "a.jsonl", 0.05, None)


def test_data_agree_with_the_outcomes(tmp_path):
    found = compared(tmp_path, BETTER, WORSE)
    data = as_data(found)
    rebuilt = outcomes_of(
        [0] * 20, [0] * 10 + [1] * 10, list(range(10)) * 2, [0] * 20, [d == "1" for d in "".join(BETTER.values())]
    )
    assert rebuilt.rate == next(r["estimate"] for r in data["rates"] if r["set"] == "one" and r["task"] is None)
    assert len(data["tasks"]) == 2


def test_equal_outcomes_of_other_trajectories_are_not_equivalent(tmp_path):
    found = compared(tmp_path, {0: "1111"}, {0: "1111"}, {"trajectory_digest": "e" * 16}, trajectory_digest="d" * 16)
    assert [(each.word, each.identical) for each in found.verdicts] == [("cannot tell", False)] * 2


def test_equal_trajectories_are(tmp_path):
    found = compared(tmp_path, {0: "1101"}, {0: "1101"}, trajectory_digest="d" * 16)
    assert [(each.word, each.identical) for each in found.verdicts] == [("equivalent", True)] * 2
    assert render_comparison(found).count("equals") == 1


def test_repeats_of_a_scene_do_not_count_as_independent_where_nothing_is_paired(tmp_path):
    sets = [
        RecordSet(
            name,
            {Trial(0, r.suite, r.task, r.init_state, n): r for r in read_set(file).records.values() for n in range(9)},
        )
        for name, file in (
            ("one", write_records(tmp_path / "one.jsonl", BETTER)),
            ("two", write_records(tmp_path / "two.jsonl", WORSE, init_state_digest="other")),
        )
    ]
    found = compare(*sets, margin=0.05)
    once = compared(tmp_path, BETTER, WORSE, {"init_state_digest": "other"})
    assert (found.unpaired.p, found.unpaired.episodes) == (None, (180, 180))
    width, single = (each.unpaired.interval.high - each.unpaired.interval.low for each in (found, once))
    assert width > 0.9 * single  # nine repeats that all end alike tell no more than one
    assert "not paired" in render_comparison(found)
    assert "Fisher" not in render_comparison(found)


def test_the_same_checkpoints_are_known_by_what_is_compared(tmp_path):
    """A seed that one set alone has does not make the others' checkpoints different."""
    one = read_set(write_records(tmp_path / "one.jsonl", BETTER, checkpoint="shared"))
    two = read_set(write_records(tmp_path / "two.jsonl", WORSE, checkpoint="shared"))
    extra = {trial._replace(seed=1): replace(record, checkpoint="more") for trial, record in one.records.items()}
    found = compare(RecordSet("one", {**one.records, **extra}), two, margin=0.05)
    assert all(each.claim.same_checkpoints for each in found.verdicts)


def test_nothing_is_left_out_where_every_episode_is_used_unpaired(tmp_path):
    found = compared(tmp_path, {0: "1" * 55}, {0: "0" * 10}, {"init_state_digest": "other"})
    assert found.unpaired.episodes == (55, 10)
    assert not any("left out" in each for each in found.warnings)


def test_episodes_of_tasks_that_one_set_alone_holds_are_left_out(tmp_path):
    found = compared(tmp_path, {0: "11", 1: "111"}, {0: "00"}, {"init_state_digest": "other"})
    assert "3 of one's 5 episodes have no counterpart and are left out" in found.warnings


def later(records, by):
    """The same records on initial states that come later."""
    return {
        trial._replace(init_state=trial.init_state + by): replace(record, init_state=record.init_state + by)
        for trial, record in records.items()
    }


@pytest.mark.parametrize(("shared", "paired"), [(1, False), (12, False), (13, True)])
def test_sets_that_share_few_episodes_are_not_compared_on_those_alone(tmp_path, shared, paired):
    one = read_set(write_records(tmp_path / "one.jsonl", {0: "1" * 26}))
    untold = {"checkpoint": "two", "init_state_digest": "", "environment_seed": None}
    two = read_set(write_records(tmp_path / "two.jsonl", {0: "0" * 25}, **untold))
    found = compare(one, RecordSet("two", later(two.records, 26 - shared)), margin=0.05)
    assert bool(found.verdicts) is paired
    if not paired:
        assert found.unpaired.episodes == (26, 25)
        assert any(f"of 26 and 25 episodes on the same tasks only {shared} are in both" in w for w in found.warnings)


def test_tasks_in_other_shares_are_compared_one_by_one(tmp_path):
    """90% against 80% and 0% against 10%: no difference, though pooled rates lie 65 points apart."""
    one, two = {0: "1" * 90 + "0" * 10, 1: "0" * 10}, {0: "1" * 8 + "0" * 2, 1: "1" * 10 + "0" * 90}
    found = compared(tmp_path, one, two, {"init_state_digest": "other"})
    assert found.unpaired.interval.estimate == pytest.approx(0.0)
    assert found.unpaired.interval.low < 0 < found.unpaired.interval.high
    assert (found.unpaired.p, found.unpaired.stratified) == (None, True)
    assert any("different shares" in each for each in found.warnings)
    text = render_comparison(found)
    assert "not paired, mean over tasks" in text
    assert "Fisher" not in text


def test_what_a_record_notes_of_its_memory_is_told_of_its_set(tmp_path):
    found = compared(tmp_path, BETTER, WORSE, {"memory": "zero", "note": BIAS_CONTROL})
    assert [each for each in found.warnings if BIAS_CONTROL in each] == [f"two: {BIAS_CONTROL}"]
    assert BIAS_CONTROL in render_comparison(found)
