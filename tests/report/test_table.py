import json
import math
from dataclasses import replace

import pytest
from support.toy_results import LANGUAGES
from support.toy_results import VERSIONS as VERSIONS_HERE

from world_modality.evidence.gates import ALIVE, EPISODES, PROMPTS, VERSIONS
from world_modality.evidence.rates import wilson
from world_modality.report.claims import claims_of, judged_cells
from world_modality.report.collect import Material
from world_modality.report.gates import DEVICES, arms_gate, record_gates
from world_modality.report.provenance import timing_of
from world_modality.report.results import gather, load_results
from world_modality.report.stage import build_report
from world_modality.report.table import record_notes, short_names
from world_modality.rollout.records import read_records
from world_modality.store.layout import StageFolder


def table_of(toy):
    spec, rollouts, trainings = toy.write()
    material = Material(spec, load_results(spec, rollouts), arms_gate(spec.arms, trainings), rollouts, trainings, ())
    return build_report(toy.root, material)[0]


def rate(table, condition, task):
    return next(rate for rate in table["rates"] if (rate["condition"], rate["task"]) == (condition, task))


def gate(table, name):
    return next(gate for gate in table["gates"] if name in gate["name"])


def verdict(table, claim, scope):
    return next(v for v in table["judgement"]["verdicts"] if (v["claim"], v["scope"]) == (claim, scope))


def test_rates_by_hand(toy):
    table = table_of(toy)
    assert (rate(table, "E2", 0)["successes"], rate(table, "E2", 0)["episodes"]) == (4, 4)
    overall = rate(table, "E2", None)
    assert (overall["successes"], overall["episodes"], overall["planned"]) == (6, 8, 8)
    assert overall["low"] == pytest.approx(wilson(6, 8).low, abs=1e-6)
    assert table["episodes"] == 40
    assert table["trials_per_condition"] == 8
    assert table["episodes_per_task"] == 4


def test_a_tiny_study_cannot_tell_and_says_why(toy):
    table = table_of(toy)
    judgement = table["judgement"]
    assert judgement["withheld"] == ""
    assert judgement["accepted"] is None
    gain = verdict(table, "E2 > E0", "recipe")
    assert (gain["word"], gain["estimate"], gain["low"], gain["primary"]) == ("cannot tell", 0.25, None, True)
    assert "across trainings" in gain["sentence"]
    assert "1 seed, at least 3 needed" in gain["sentence"]
    here = verdict(table, "E2 > E0", "checkpoint")
    assert (here["only_treated"], here["only_control"], here["episodes"], here["primary"]) == (2, 0, 8, False)
    assert here["p_greater"] == pytest.approx(1 / 4, abs=1e-6)  # two scenes differ, both for E2
    assert verdict(table, "E1 = E0", "recipe")["word"] == "equivalent"
    assert [item["passed"] for item in judgement["rule"]] == [None, None, True]
    assert judgement["headline"] == table["headline"]


def test_several_seeds_share_their_scenes(toy):
    toy.seeds = (0, 1, 2)
    table = table_of(toy)
    gain = verdict(table, "E2 > E0", "checkpoint")
    assert (gain["episodes"], gain["scenes"], gain["seeds"]) == (24, 8, 3)
    assert table["seeds"] == [0, 1, 2]
    assert rate(table, "E0", None)["low"] < wilson(12, 24).low, "copies of a scene are not new scenes"


def test_every_number_is_json(toy):
    def walk(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                walk(each)
        assert not (isinstance(value, float) and not math.isfinite(value))

    walk(table_of(toy))


def test_zero_memory_must_repeat_the_plain_arm(toy):
    assert gate(table_of(toy), "E1 equals E0") == {
        "name": "E1 equals E0, episode by episode",
        "passed": True,
        "detail": "0 of 8 episodes differ",
    }
    toy.outcomes["E1"] = ("1100", "0010")
    broken = table_of(toy)
    assert gate(broken, "E1 equals E0")["passed"] is False
    detail = gate(broken, "E1 equals E0")["detail"]
    episode = "seed 0, libero_spatial task 0, init state 13, repeat 0"
    assert detail == f"1 of 8 episodes differ: {episode} (on CPU this is a bug)"
    assert broken["judgement"]["withheld"] == f"E1 equals E0, episode by episode: {detail}"
    assert {each["word"] for each in broken["judgement"]["verdicts"]} == {"cannot tell"}


def test_zero_memory_need_not_repeat_another_policy(toy):
    toy.outcomes["E1"] = ("1100", "0010")
    spec, rollouts, _ = toy.write()
    names = [each.name for each in record_gates(load_results(spec, rollouts), spec.arms)]
    other = [arm.model_copy(update={"policy": "f" * 16}) if arm.name == "E0" else arm for arm in spec.arms]
    left = [each.name for each in record_gates(load_results(spec, rollouts), other)]
    assert [name for name in names if name not in left] == ["E1 equals E0, episode by episode"]


def test_zero_memory_need_not_repeat_an_aligned_arm(toy):
    spec, rollouts, _ = toy.write()
    names = [each.name for each in record_gates(load_results(spec, rollouts), spec.arms)]
    taught = {"declared": ("memory", "world.align"), "aligned": True}
    other = [arm.model_copy(update=taught) if arm.name == "E0" else arm for arm in spec.arms]
    left = [each.name for each in record_gates(load_results(spec, rollouts), other)]
    assert [name for name in names if name not in left] == ["E1 equals E0, episode by episode"]
    plain, aligned = (claims_of(spec.conditions, 0.05, frozenset(some)) for some in ((), ("E0",)))
    assert "equal" in {claim.kind for claim in plain}
    assert "equal" not in {claim.kind for claim in aligned}


def test_checkpoints_of_other_steps_need_not_repeat_each_other_and_are_no_part_of_the_plan(toy):
    spec, rollouts, _ = toy.write()
    names = [each.name for each in record_gates(load_results(spec, rollouts), spec.arms)]
    early = tuple(each.model_copy(update={"step": 5}) if each.name == "E1" else each for each in spec.conditions)
    stepped = spec.model_copy(update={"conditions": early})
    left = [each.name for each in record_gates(load_results(stepped, rollouts), spec.arms)]
    assert [name for name in names if name not in left] == ["E1 equals E0, episode by episode"]
    assert {cell.condition for cell in judged_cells(stepped)} == {cell.condition for cell in spec.cells} - {"E1"}


def test_an_equal_outcome_after_other_steps_is_a_difference_too(toy):
    toy.edit = lambda condition, values: values.update(steps=values["steps"] - 1) if condition == "E1" else None
    assert gate(table_of(toy), "E1 equals E0")["detail"].startswith("8 of 8 episodes differ")


def test_records_that_do_not_tell_their_trajectory_prove_no_equality(toy):
    toy.edit = lambda _, values: values.update(trajectory_digest="" if values["task"] else values["trajectory_digest"])
    table = table_of(toy)
    row = gate(table, "E1 equals E0")
    assert (row["passed"], row["detail"]) == (None, "0 of 8 episodes differ; 4 do not tell their trajectory")
    equal = verdict(table, "E1 = E0", "recipe")
    assert (equal["word"], equal["identical"]) == ("cannot tell", False)
    toy.edit = lambda condition, values: values.update(
        trajectory_digest=f"{len(condition):016x}" if condition != "E1" else "e" * 16
    )
    assert gate(table_of(toy), "E1 equals E0")["passed"] is False


def test_off_cpu_a_difference_is_shown_and_not_judged(toy):
    toy.outcomes["E1"] = ("1100", "0010")
    toy.edit = lambda condition, values: values.update(device="cuda")
    table = table_of(toy)
    assert gate(table, "E1 equals E0")["passed"] is None
    assert table["judgement"]["withheld"] == ""


def test_off_cpu_equal_outcomes_after_other_episodes_are_not_called_equal(toy):
    def edit(condition, values):
        values.update(device="cuda", steps=values["steps"] - (condition == "E1"))

    toy.edit = edit
    rows = [each for each in table_of(toy)["judgement"]["verdicts"] if each["claim"] == "E1 = E0"]
    assert [row["word"] for row in rows] == ["cannot tell", "cannot tell"]
    assert not any(row["identical"] for row in rows)


def test_a_dead_baseline_withholds_the_verdict(toy):
    toy.outcomes["E0"] = toy.outcomes["E1"] = ("0000", "0000")
    table = table_of(toy)
    assert gate(table, ALIVE)["passed"] is False
    assert (
        "): no verdict, since this does not hold: the baseline succeeds at least once: 0 of 8 episodes"
        in table["headline"]
    )


def test_each_suite_may_be_simulated_by_packages_of_its_own(toy):
    toy.suites = ("libero_spatial", "libero_goal")
    toy.edit = lambda _, values: values.update(versions={values["suite"]: "1"})
    assert gate(table_of(toy), VERSIONS) == {
        "name": VERSIONS,
        "passed": True,
        "detail": "libero_goal 1; libero_spatial 1",
    }
    toy.edit = lambda condition, values: values.update(versions={values["suite"]: str(len(condition))})
    assert gate(table_of(toy), VERSIONS)["passed"] is False


@pytest.mark.parametrize("other", ["mujoco", "opengl", "physics"])
def test_a_suite_and_what_perturbs_it_are_simulated_alike(toy, other):
    toy.suites = ("libero_spatial", "libero_spatial_swap")
    alike = {"mujoco": "3.3.2", "opengl": "osmesa", "physics": "quick"}

    def simulated(_, values):
        own = {other: "9"} if values["suite"] == "libero_spatial_swap" else {}
        values.update(versions=alike | {"torch": "2", values["suite"]: "1"} | own)

    toy.edit = lambda _, values: values.update(versions=alike | {values["suite"]: "1"})
    assert gate(table_of(toy), VERSIONS)["passed"] is True
    toy.edit = simulated
    found = gate(table_of(toy), VERSIONS)
    assert found["passed"] is False
    assert found["detail"].startswith("2 differ on libero_spatial and what perturbs it: mujoco")


def test_mixed_versions_devices_and_prompts_withhold_the_verdict(toy):
    changed = {"versions": {"torch": "9"}, "device": "cuda", "language": " "}
    toy.edit = lambda condition, values: values.update(changed) if condition == "E2" else None
    table = table_of(toy)
    assert gate(table, VERSIONS)["passed"] is False
    assert gate(table, DEVICES)["detail"] == "2 differ: cpu / cuda"
    assert gate(table, PROMPTS)["detail"] == "8 episodes were told nothing"
    assert VERSIONS in table["judgement"]["withheld"]


def test_a_served_policy_is_computed_elsewhere_but_in_one_way(toy):
    elsewhere = {"device": "remote cuda", "versions": VERSIONS_HERE | {"served jax": "1"}}
    toy.edit = lambda condition, values: values.update(elsewhere) if condition == "E2" else None
    table = table_of(toy)
    assert gate(table, DEVICES) == {"name": DEVICES, "passed": True, "detail": "cpu; remote cuda"}
    assert gate(table, VERSIONS)["passed"]
    assert gate(table, VERSIONS)["detail"] == "lerobot 0.6.1, torch 2.11.0; served jax 1"

    def broken(condition, values):
        values.update(elsewhere if condition == "E2" else {"trajectory_digest": f"{condition:0>16}"})

    toy.edit = broken
    assert gate(table_of(toy), "E1 equals E0")["passed"] is False, "both are computed on this CPU"

    def mixed(condition, values):
        state = str(values["init_state"])
        other = {"device": f"remote {state}", "versions": VERSIONS_HERE | {"served jax": state}}
        values.update(elsewhere | other if condition == "E2" else {})

    toy.edit = mixed
    table = table_of(toy)
    assert gate(table, DEVICES)["detail"].startswith("4 differ at the server of E2: remote ")
    assert gate(table, VERSIONS)["detail"].startswith("4 differ at the server of E2: served jax ")


def test_missing_episodes_are_marked_and_withhold_the_verdict(toy):
    spec, rollouts, trainings = toy.write()
    held = {path.parent.name: read_records(path / "records.jsonl") for path in rollouts}
    held["keye2-random00"] = held["keye2-random00"][:1]
    del held["keye2-random01"]
    results = gather(spec, lambda cell: held.get(cell.rollout, ()))
    assert [len(results.missing(condition)) for condition in results.conditions] == [0, 0, 0, 0, 7]
    table = build_report(toy.root, Material(spec, results, arms_gate(spec.arms, trainings), rollouts, trainings, ()))[0]
    assert not table["complete"]
    assert (rate(table, "E2-random", 0)["episodes"], rate(table, "E2-random", 0)["planned"]) == (1, 4)
    assert rate(table, "E2-random", 1)["estimate"] is None
    assert gate(table, EPISODES)["passed"] is False
    assert verdict(table, "pred > random", "checkpoint")["episodes"] == 1
    assert verdict(table, "pred > zero", "checkpoint")["episodes"] == 8


def test_short_names_drop_what_all_share():
    cups = {0: "put the cup on the plate", 4: "put the bowl on the plate"}
    assert short_names(cups) == {0: "cup on the plate", 4: "bowl on the plate"}
    assert short_names(dict(enumerate(LANGUAGES))) == {0: "between the plate and the ramekin", 1: "next to the ramekin"}
    assert short_names({2: "open the drawer and close it"}) == {2: "open the drawer and close it"}
    assert short_names({0: "open", 1: "open the drawer"}) == {0: "open", 1: "the drawer"}
    assert short_names({0: "turn left", 1: "turn left"}) == {0: "turn left (task 0)", 1: "turn left (task 1)"}
    assert short_names({("libero_90", 7): "open", ("libero_90", 9): "open"})["libero_90", 9] == "open (task 9)"
    assert len(short_names({0: "word " * 30})[0]) <= 40


def test_times_and_costs_are_told_beside_the_report(toy):
    spec, rollouts, trainings = toy.write()
    for folder, when in ((rollouts[3], "2026-02-01T00:00:00+00:00"), (trainings[0], "2026-03-01T00:00:00+00:00")):
        file = StageFolder(folder.parent).run
        file.write_text(json.dumps({**json.loads(file.read_text()), "sealed_at": when}))
    material = Material(spec, load_results(spec, rollouts), arms_gate(spec.arms, trainings), rollouts, trainings, ())
    told = timing_of(toy.root, material)
    assert told["newest_outcome"] == "2026-02-01T00:00:00+00:00"
    assert told["first_rollout_started"] == "2026-01-01T00:00:00+00:00"
    assert [(plan["sealed_at"], plan["own"]) for plan in told["plans"]] == [("2025-12-31T00:00:00+00:00", True)]
    cost = {entry["stage"]: (entry["runs"], entry["seconds"], entry["hours"]) for entry in told["wall_time"]}
    assert cost == {"dataset": (1, 600.0, 0.17), "rollout": (10, 300.0, 0.08), "train": (3, 360.0, 0.1)}
    _, pages = build_report(toy.root, material)
    assert not any("2026-0" in text or "2025-12-31" in text for text in pages.values())


def test_a_plan_sealed_too_late_or_never_withholds_the_verdict(toy):
    toy.sealed_at = "2026-01-01T00:00:01+00:00"
    assert "after the first rollout started" in table_of(toy)["judgement"]["withheld"]
    never = table_of(type(toy)(toy.root / "never", sealed_at=""))
    assert "was never sealed" in never["headline"]
    assert never["plan"]["sealed"] is False


def test_what_records_note_of_their_memory_stands_beside_the_table(toy):
    """As of zero memory in an earlier system's checkpoint, which is a control of a bias."""
    spec, rollouts, trainings = toy.write()
    results = load_results(spec, rollouts)
    noted = {trial: replace(record, note="of E1") for trial, record in results.records["E1"].items()}
    results = replace(results, records={**results.records, "E1": noted})
    material = Material(spec, results, arms_gate(spec.arms, trainings), rollouts, trainings, ())
    assert build_report(toy.root, material)[0]["notes"][-1] == "E1: of E1."
    assert record_notes(load_results(spec, rollouts)) == []


def test_a_memory_that_looks_ahead_is_called_a_reference(toy):
    spec, rollouts, trainings = toy.write()
    results, gate = load_results(spec, rollouts), arms_gate(spec.arms, trainings)
    ahead = tuple(
        each.model_copy(update={"rolled": "oracle_policy"}) if each.name == "E2-zero" else each
        for each in spec.conditions
    )
    for conditions, told in ((spec.conditions, False), (ahead, True)):
        own = spec.model_copy(update={"conditions": conditions})
        _, pages = build_report(toy.root, Material(own, results, gate, rollouts, trainings, ()))
        for name in ("report.html", "table.md"):
            text = " ".join(pages[name].split())
            assert "Success rates have Wilson" in text
            assert ("memory of E2-zero holds frames that really come" in text) == told
            assert ("a reference, not an upper bound" in text) == told
