"""Plans are sealed once, before the first rollout, and every change is told."""

import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.claims import standard_claims

from world_modality.evidence.gates import SEALED
from world_modality.evidence.plan import Plan
from world_modality.evidence.resampling import digest_of
from world_modality.report.sealed_plans import (
    COPIES,
    damaged_seals,
    describe_seals,
    first_start,
    read_seals,
    seal_plan,
    sealing_gate,
)
from world_modality.store.layout import sealed_plans_folder, stage_folder

PLAN = Plan("demo", "libero_spatial", standard_claims(), (0, 1, 2), (0, 1), tuple(range(10)), 1, design="a" * 16)
OTHER = replace(PLAN, claims=standard_claims(0.02), seeds=(0, 1, 2, 3, 4), design="b" * 16)


def files(root):
    return sorted(sealed_plans_folder(root, "demo").glob("*.json"))


def move_back(path, when):
    path.write_text(json.dumps({**json.loads(path.read_text()), "sealed_at": when}))


def test_a_plan_is_sealed_once_and_read_back(tmp_path):
    seal = seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    before = file.read_bytes()
    assert seal_plan(tmp_path, PLAN) == seal
    assert file.read_bytes() == before
    assert read_seals(tmp_path, "demo") == (seal,)
    assert seal.plan == PLAN


def test_many_processes_seal_one_plan(tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        seals = pool.starmap(seal_plan, [(tmp_path, PLAN)] * 16)
    assert len(files(tmp_path)) == 1
    assert len({seal.sealed_at for seal in seals}) == 1


def test_merged_trees_keep_the_earliest_seal(tmp_path):
    seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    other = file.with_name(f"{PLAN.digest}-elsewhere.json")
    other.write_bytes(file.read_bytes())
    move_back(other, "2020-01-01T00:00:00+00:00")
    assert seal_plan(tmp_path, PLAN).sealed_at == "2020-01-01T00:00:00+00:00"


@pytest.mark.parametrize("damage", [lambda text: text[:-20], lambda text: text.replace("0.85", "0.80")])
def test_a_damaged_or_changed_file_is_no_seal(tmp_path, damage):
    seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    changed = damage(file.read_text())
    assert changed != file.read_text()
    file.write_text(changed)
    assert damaged_seals(tmp_path) == [file]
    copy = file.parent / COPIES / file.name
    copy.write_text(changed)
    assert read_seals(tmp_path, "demo") == ()
    assert sealing_gate(PLAN, (), "").passed is None
    assert sealing_gate(PLAN, (), "2026-01-01T00:00:00+00:00").passed is False


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_text("{")])
def test_of_a_seal_and_its_copy_one_makes_the_other_anew(tmp_path, which, change):
    seal = seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    pair = file, file.parent / COPIES / file.name
    before = file.read_bytes()
    assert pair[1].read_bytes() == before
    change(pair[which])
    assert read_seals(tmp_path, "demo") == (seal,)
    assert seal_plan(tmp_path, PLAN) == seal
    assert [path.read_bytes() for path in pair] == [before, before]
    assert damaged_seals(tmp_path) == []


def test_a_plan_sealed_by_a_clock_that_was_ahead_is_sealed_by_the_right_one_too(tmp_path):
    """A machine boots with tomorrow's date, the run begins, and the clock is set; then rollouts start."""
    seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    for path in (file, file.parent / COPIES / file.name):
        move_back(path, tomorrow)
    file.rename(file.with_name(f"{PLAN.digest}-tomorrow.json"))
    started = datetime.now(UTC).isoformat(timespec="seconds")
    assert seal_plan(tmp_path, PLAN).sealed_at < tomorrow
    (seal,) = read_seals(tmp_path, "demo")
    assert sealing_gate(PLAN, (seal,), max(started, seal.sealed_at)).passed
    assert seal_plan(tmp_path, PLAN) == seal


def test_the_gate_compares_with_the_first_attempt_of_any_rollout(tmp_path):
    folders = [stage_folder(tmp_path, "rollout", key) for key in ("one", "two", "none")]
    for folder, when in zip(folders, ("2026-01-02T00:00:00+00:00", "2026-01-01T00:00:00+00:00"), strict=False):
        folder.path.mkdir(parents=True)
        folder.attempts.write_text(f"{when}\n2026-01-03T00:00:00+00:00\n")
    assert first_start(folders) == "2026-01-01T00:00:00+00:00"
    assert first_start(folders[2:]) == ""
    seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    for when, passed in (("2025-12-31T23:59:59+00:00", True), ("2026-01-01T00:00:01+00:00", False)):
        move_back(file, when)
        gate = sealing_gate(PLAN, read_seals(tmp_path, "demo"), first_start(folders))
        assert (gate.name, gate.passed) == (SEALED, passed)
    assert "after the first rollout started" in gate.detail
    assert sealing_gate(PLAN, read_seals(tmp_path, "demo"), "").passed


def test_a_later_plan_names_the_one_that_was_there(tmp_path):
    seal_plan(tmp_path, PLAN)
    move_back(files(tmp_path)[0], "2026-01-01T00:00:00+00:00")
    seal_plan(tmp_path, OTHER)
    seals = read_seals(tmp_path, "demo")
    gate = sealing_gate(OTHER, seals, "2026-01-02T00:00:00+00:00")
    assert gate.passed is False
    assert gate.detail.endswith(f"the plan that was: {PLAN.digest}")
    assert "2026" not in gate.detail  # which a rollout that is made again would change
    (told,) = describe_seals(OTHER, seals)["others"]
    assert told == {
        "digest": PLAN.digest,
        "sealed": "earlier",
        "changed": ["margin 0.05 -> 0.02", "seeds 0, 1, 2 -> 0, 1, 2, 3, 4", "what is trained and rolled out"],
    }


def test_a_plan_that_nobody_can_read_does_not_borrow_the_digest_of_one_that_is_kept(tmp_path):
    seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    (file.parent / COPIES / file.name).unlink()
    file.write_text(json.dumps({**json.loads(file.read_text()), "plan": {}, "sealed_at": "2020-01-01T00:00:00+00:00"}))
    assert read_seals(tmp_path, "demo") == ()
    gate = sealing_gate(PLAN, read_seals(tmp_path, "demo"), "2026-01-01T00:00:00+00:00")
    assert gate.passed is False


def test_a_plan_of_another_version_is_listed_unread(tmp_path):
    seal_plan(tmp_path, PLAN)
    (file,) = files(tmp_path)
    (file.parent / COPIES / file.name).unlink()
    value = json.loads(file.read_text())
    value["plan"]["forgotten"] = 1
    file.write_text(json.dumps({**value, "digest": digest_of(value["plan"])}))
    (told,) = describe_seals(OTHER, read_seals(tmp_path, "demo"))["others"]
    assert told["changed"] == ["written by another version, which this one cannot read"]
