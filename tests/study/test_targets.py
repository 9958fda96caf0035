"""Parts of a study in a few words, from a graph and from its snapshot alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import DISCRETE_STUDY, SMALL_STUDY, edited, graph_of

from world_modality.errors import UserError
from world_modality.study.outline import Outline, Place, outline_of, read_outline
from world_modality.study.snapshot import write_snapshot
from world_modality.study.targets import names_part, select

TWO_SUITES = edited(
    ("suite: libero_spatial\ntasks: [0, 1]", "suite: [libero_spatial, libero_object]\ntasks: [0, 1]"),
    ("  num_steps: 5", "  num_steps: 5\n  videos: {first: 1}"),
)


def outline(folder: Path, text: str = SMALL_STUDY) -> Outline:
    return outline_of(graph_of(folder, text))


def labels(found: Outline, *words: str) -> list[str]:
    return [step.label for step in select(found, words)]


@pytest.mark.parametrize("text", [SMALL_STUDY, TWO_SUITES, DISCRETE_STUDY])
def test_a_snapshot_tells_the_same_as_the_graph(tmp_path: Path, text: str) -> None:
    graph = graph_of(tmp_path, text)
    assert read_outline(write_snapshot(tmp_path, graph)) == outline_of(graph)


def test_a_torn_snapshot_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('{"stages": []}')
    for name in ("torn.json", "none.json"):
        with pytest.raises(UserError, match=f"{name} is not a plan as it was written .*run the study again"):
            read_outline(tmp_path / name)


def test_an_arm_is_its_trainings_and_all_its_rollouts(tmp_path: Path) -> None:
    found = outline(tmp_path)
    own = labels(found, "E2")
    assert own[:2] == ["train E2/0", "train E2/1"]
    assert {label.split()[1].split("/")[0] for label in own} == {"E2", "E2-zero", "E2-random"}
    assert len(own) == 2 + 3 * 2 * 2
    assert labels(found, "condition=E2") == [label for label in own if label.split()[1].split("/")[0] == "E2"]
    assert labels(found, "E2-zero")[:2] == own[:2], "the checkpoints that it rolls out"


def test_kinds_of_an_arm_or_condition(tmp_path: Path) -> None:
    found = outline(tmp_path)
    assert labels(found, "train:E2") == ["train E2/0", "train E2/1"]
    assert labels(found, "rollouts:E2-zero", "seed=1") == ["rollout E2-zero/1 task 0", "rollout E2-zero/1 task 1"]
    assert labels(found, "train:E0,E1", "seed=0") == ["train E0/0", "train E1/0"]
    assert labels(found, "train:E0", "rollouts:E1", "seed=0", "task=1") == ["rollout E1/0 task 1"]
    assert labels(found, "data") == ["demos task 0", "demos task 1", "relabel task 0", "relabel task 1", "dataset"]
    assert labels(found, "data", "task=1") == ["demos task 1", "relabel task 1"]
    assert len(labels(found, "all")) == len(found.steps)


def test_properties_hold_together(tmp_path: Path) -> None:
    found = outline(tmp_path, TWO_SUITES)
    chosen = labels(found, "seed=1", "suite=libero_object", "task=0-1", "arm=E2")
    kinds = [label.split()[0] for label in chosen]
    assert (kinds.count("rollout"), kinds.count("videos"), len(kinds)) == (6, 6, 12)
    assert all("libero_object" in label for label in chosen)
    assert labels(found, "seed=1", "task=0,1", "suite=libero_object", "arm=E2") == chosen
    assert found.places[found.names["demos/libero_spatial/task1"]] == (Place(suite="libero_spatial", task=1),)


def test_the_offline_evaluation_of_an_arm_is_its_own(tmp_path: Path) -> None:
    assert labels(outline(tmp_path, DISCRETE_STUDY), "offline:B") == ["offline B/0", "offline B/1"]


def test_earlier_parts_of_a_training_are_of_its_arm(tmp_path: Path) -> None:
    parts = edited(("steps: 10", "steps: 10\n  checkpoints: [5]"), ("seeds: [0, 1]", "seeds: [0]"))
    found = outline(tmp_path, parts)
    assert labels(found, "train:E0") == ["train E0/0 step 5", "train E0/0"]
    assert labels(found, "train:E0-step5") == ["train E0/0 step 5"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["E9"], "there is no target E9; did you mean E2, E1, E0?"),
        (["train:E3"], "there is no arm or condition E3 (train:E3); did you mean train:E2, train:E1, train:E0?"),
        (["trian:E2"], "there is no kind of stages trian (trian:E2); did you mean train:E2?"),
        (["libero_spatial"], "there is no target libero_spatial; did you mean suite=libero_spatial?"),
        (["seed=5"], "there is no seed 5 (seed=5); choose from 0, 1"),
        (["seed=x"], "there is no seed x (seed=x); choose from 0, 1"),
        (["seed="], "there is no seed '' (seed=); choose from 0, 1"),
        (["sede=1"], "there is no property sede (sede=1); did you mean seed=1?"),
        (["latents", "seed=1"], "no stage of small is latents seed=1: ask for less at once"),
    ],
)
def test_a_wrong_word_is_one_sentence_with_the_nearest(tmp_path: Path, words: list[str], told: str) -> None:
    with pytest.raises(UserError) as caught:
        select(outline(tmp_path), words)
    assert str(caught.value) == told


def test_what_can_only_be_meant_as_a_part_is_taken_for_one(tmp_path: Path) -> None:
    found = outline(tmp_path)
    assert all(names_part(found, word) for word in ("E2", "E2-zero", "train:E9", "seed=9"))
    assert not any(names_part(found, word) for word in ("train", "all", "nonsense", "train_stage:gpu=0", "mem_mb=4"))


def test_what_is_needed_and_who_reads_it(tmp_path: Path) -> None:
    found = outline(tmp_path)
    train = found.names["train/E2-seed0"]
    needed = {found.steps[key].stage for key in found.upstream([train])}
    assert needed == {"policy", "encoder", "demos", "relabel", "dataset", "latents", "train"}
    assert {found.steps[key].stage for key in found.readers[train]} == {"rollout", "report"}
