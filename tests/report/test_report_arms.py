"""Sealed trainings are compared each with each other, whatever they were called."""

import json
import re

from support.toy_results import arms

from world_modality.report.arms import arms_gate

ARMS = arms(range(5))


def trainings_of(toy, **changed):
    """The toy's trainings; ``changed`` is by stage key, e.g. ``trainE21={"policy.world_heads": 2}``."""
    _, _, trainings = toy.write()
    for folder in trainings:
        arm = json.loads((folder / "arm.json").read_text())
        for key, value in changed.get(folder.parent.name, {}).items():
            *above, last = key.split(".")
            place = arm
            for name in above:
                place = place[name]
            place[last] = value
        (folder / "arm.json").write_text(json.dumps(arm))
    return trainings


def failed(trainings):
    gate = arms_gate(ARMS, trainings)
    assert gate.passed is False
    return gate.detail


def rename_all(toy, label):
    for path in toy.root.glob("train/*/DONE.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "label": label}))


def test_equal_trainings_pass_and_their_seeds_are_named(toy):
    assert arms_gate(ARMS, trainings_of(toy)).detail.endswith("; seed 0 in every arm")
    toy.seeds = (0, 3)
    gate = arms_gate(ARMS, trainings_of(toy))
    assert gate.passed
    assert gate.detail.startswith("6 trainings alike ")
    assert gate.detail.endswith("; seeds 0, 3 in every arm")


def test_two_arms_with_a_memory_are_compared_too(toy):
    heads = {"policy.world_heads": 8}
    arms_gate(ARMS, trainings_of(toy, trainE10=heads, trainE20=heads))
    assert re.search(
        r"E1/0 \(.*\) and train E2/0 \(.*\) differ .*world_heads is 2 against 8",
        failed(trainings_of(toy, trainE10={"policy.world_heads": 2}, trainE20=heads)),
    )


def test_only_an_arm_without_memory_may_have_another_rate_for_the_world_modules(toy):
    rate = {"policy.world_lr": 1e-4}
    arms_gate(ARMS, trainings_of(toy, trainE00={"policy.world_lr": 1e-3}, trainE10=rate, trainE20=rate))
    assert re.search(
        r"world_lr is 0\.0001 against 0\.0005",
        failed(trainings_of(toy, trainE10=rate, trainE20={"policy.world_lr": 5e-4})),
    )


def test_trainings_with_one_label_are_still_several(toy):
    trainings = trainings_of(toy, trainE20={"steps": 300})
    rename_all(toy, "train E0/0")
    assert re.search(r"train E0/0 \(train/trainE00\) and train E0/0 \(train/trainE20\) differ", failed(trainings))


def test_every_arm_needs_the_same_seeds(toy):
    toy.seeds = (0, 1)
    trainings = [folder for folder in trainings_of(toy) if folder.parent.name != "trainE11"]
    assert re.search(r"arm E1 has no training with seed 1", failed(trainings))


def test_one_training_must_not_draw_with_the_seed_of_another(toy):
    assert re.search(r"policy\.world_seed is 0 against 5", failed(trainings_of(toy, trainE20={"policy.world_seed": 5})))


def test_a_record_is_found_in_its_second_copy(toy):
    trainings = trainings_of(toy, trainE20={"steps": 300})
    for folder in trainings:
        (folder.parent / "DONE.json").rename(folder.parent / "seal.json")
    assert re.search(r"^train E0/0 \(train/trainE00\) and train E2/0 ", failed(trainings))
