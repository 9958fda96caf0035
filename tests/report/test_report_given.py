"""The report of given checkpoints: judged as these, told what they say of their training, and nothing claimed of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.toy_results import ToyResults

from world_modality.report.given import given_sentences, given_table
from world_modality.report.stage import run
from world_modality.store.progress import Progress
from world_modality.store.stage import StageContext
from world_modality.study.specs import ReportArm, ReportSpec

TRAINED = {"dataset": {"repo_id": "me/data"}, "steps": 500, "batch_size": 8, "seed": 3, "optimizer": {"lr": 1e-4}}


def checkpoint(toy: ToyResults, key: str, config: dict[str, Any], training: dict[str, Any] | None) -> Path:
    folder = toy._seal("policy", key, f"checkpoint {key}", 1.0, [])
    (folder / "config.json").write_text(json.dumps(config))
    if training is not None:
        (folder / "train_config.json").write_text(json.dumps(training))
    return folder


def given(toy: ToyResults) -> tuple[ReportSpec, tuple[Path, ...], tuple[Path, ...]]:
    """The toy's study, of checkpoints that nobody here trained: report spec, rollouts, checkpoints."""
    spec, rollouts, _ = toy.write()
    checkpoints = (
        checkpoint(toy, "givenE0", {"type": "smolvla"}, TRAINED),
        checkpoint(toy, "givenE1", {"type": "smolvla_world", "world_memory_mode_train": "zero"}, None),
        checkpoint(
            toy, "givenE2", {"type": "smolvla_world", "world_memory_mode_train": "pred"}, TRAINED | {"steps": 9}
        ),
    )
    arms = tuple(
        ReportArm(name=arm.name, against=arm.against, declared=(), trainings=(), policy=f"given{arm.name}",
                  checkpoints=(f"given{arm.name}",))
        for arm in spec.arms
    )  # fmt: skip
    conditions = tuple(condition.model_copy(update={"given": 1}) for condition in spec.conditions)
    return spec.model_copy(update={"arms": arms, "conditions": conditions}), tuple(rollouts), checkpoints


def test_one_checkpoint_of_each_arm_is_decided_about_these_and_says_no_more(tmp_path: Path) -> None:
    toy = ToyResults(tmp_path / "results", sealed_at="")
    spec, rollouts, checkpoints = given(toy)
    folder = tmp_path / "report"
    inputs = {"rollout": rollouts, "given": checkpoints}
    run(
        spec,
        StageContext(
            "r" * 16, folder / "artifact", folder / "volatile", folder / "work", inputs, Progress("report"), 1
        ),
    )
    table = json.loads((folder / "artifact" / "table.json").read_text())
    primary = {each["claim"]: each for each in table["judgement"]["verdicts"] if each["primary"]}
    assert {each["scope"] for each in primary.values()} == {"checkpoint"}
    against = next(each for name, each in primary.items() if name == "E2 > E0")
    assert "for this checkpoint of each arm" in against["sentence"]
    assert "across trainings" not in against["sentence"]
    gates = {gate["name"]: gate for gate in table["gates"]}
    (comparable,) = (gate for name, gate in gates.items() if "arms" in name.lower() or "differ" in name.lower())
    assert comparable["passed"]
    assert "trained elsewhere" in comparable["detail"]
    assert not [name for name in gates if "equals" in name]  # nobody here made E1 of E0's start
    page, text = ((folder / "artifact" / name).read_text() for name in ("report.html", "table.md"))
    for where in (page, text):
        assert "Given checkpoints" in where
        assert "These checkpoints were trained elsewhere." in where
        assert "me/data" in where


def test_what_they_say_of_their_training_is_told_with_its_differences(tmp_path: Path) -> None:
    spec, _, checkpoints = given(ToyResults(tmp_path / "results"))
    found = given_table(spec.arms, checkpoints)
    assert found is not None
    assert [(row["arm"], row["family"], row["memory"], row["steps"]) for row in found["rows"]] == [
        ("E0", "SmolVLA", "disabled", "500"),
        ("E1", "SmolVLA", "zero", "not told"),
        ("E2", "SmolVLA", "pred", "9"),
    ]
    assert given_sentences(found)[1:] == [
        "They differ in steps: a difference of success may come from there.",
        "Not all is told by E1 0, E2 0.",  # E2's config.json names no encoder
    ]


def test_models_of_the_discrete_line_are_said_to_have_no_offline_evaluation(tmp_path: Path) -> None:
    toy = ToyResults(tmp_path / "results")
    spec, _, checkpoints = given(toy)
    found = given_table(spec.arms, checkpoints)
    assert found is not None
    assert "eval_offline" not in " ".join(given_sentences(found))
    checkpoint(toy, "givenE1", {"type": "world_transformer"}, TRAINED)
    found = given_table(spec.arms, checkpoints)
    assert found is not None
    assert given_sentences(found)[-1].startswith("E1: given checkpoints have no offline evaluation here, ")


def test_a_study_that_trains_all_its_arms_has_no_such_section(tmp_path: Path) -> None:
    spec, _, _ = ToyResults(tmp_path / "results").write()
    assert given_table(spec.arms, ()) is None
