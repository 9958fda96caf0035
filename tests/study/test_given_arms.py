"""Arms of given checkpoints: what a study of them says, what it plans, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, graph_of

from world_modality.errors import UserError
from world_modality.report.claims import plan_of
from world_modality.study.graph import Graph
from world_modality.study.load import load_study
from world_modality.study.specs import ReportSpec

GIVEN = """\
study: given
suite: libero_spatial
tasks: [0, 1]
simulator: {assets: package, horizon: 220}
arms:
  E0: {checkpoint: {source: folder, path: e0}}
  E1: {checkpoint: {source: folder, path: e1}}
  E2: {checkpoint: {source: folder, path: e2}, ablations: [zero, random_scaled]}
rollouts: {init_states: 30-33, episodes: 4}
"""


def spec_of(graph: Graph) -> ReportSpec:
    spec = graph.report.spec
    assert isinstance(spec, ReportSpec)
    return spec


def test_nothing_is_trained_and_every_checkpoint_is_rolled_out(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, GIVEN)
    kinds = {kind: len(list(graph.of(kind))) for kind in ("policy", "encoder", "train", "dataset", "latents")}
    assert kinds == {"policy": 3, "encoder": 1, "train": 0, "dataset": 0, "latents": 0}
    rollouts = list(graph.of("rollout"))
    assert len(rollouts) == 5 * 2
    assert {request.address["memory"] for request in rollouts} == {"disabled", "zero", "pred", "random_scaled"}
    assert {request.address["n_action_steps"] for request in rollouts} == {7}  # as the checkpoints say
    assert {request.address["num_steps"] for request in rollouts} == {None}
    assert {each.folder for request in rollouts for each in request.inputs} == {""}
    reading = {request.address["memory"] for request in rollouts if len(request.inputs) == 2}
    assert reading == {"pred", "random_scaled"}  # the encoder that the checkpoint names


def test_what_is_compared_with_what_is_what_the_checkpoints_say(tmp_path: Path) -> None:
    spec = spec_of(graph_of(tmp_path, GIVEN))
    assert {each.name: each.against for each in spec.conditions} == {
        "E0": "", "E1": "E0", "E2": "E0", "E2-zero": "E2", "E2-random_scaled": "E2",
    }  # fmt: skip
    assert [(arm.name, len(arm.checkpoints), arm.trainings) for arm in spec.arms] == [
        ("E0", 1, ()), ("E1", 1, ()), ("E2", 1, ()),
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "scope"), [(1, "checkpoint"), (2, "checkpoint"), (3, "recipe")])
def test_few_checkpoints_are_judged_as_these_and_three_as_their_recipe(tmp_path: Path, number: int, scope: str) -> None:
    text = GIVEN
    for name in ("e0", "e1", "e2"):
        each = ", ".join(f"{{source: folder, path: {name}{seed}}}" for seed in range(number))
        text = edited((f"{{source: folder, path: {name}}}", f"[{each}]"), text=text)
    graph = graph_of(tmp_path, text)
    plan = plan_of(spec_of(graph))
    assert plan is not None
    assert len(plan.seeds) == number
    scopes = {claim.name: claim.scope for claim in plan.claims}
    assert scopes == {
        "pred > zero": "checkpoint", "pred > random_scaled": "checkpoint", "E2 > E0": scope, "E1 = E0": scope,
    }  # fmt: skip


def test_a_rename_of_cameras_is_part_of_what_is_rolled_out(tmp_path: Path) -> None:
    renamed = edited(("path: e1}", "path: e1, rename: {image2: camera2, image: camera1}}"), text=GIVEN)
    plain, graph = graph_of(tmp_path, GIVEN), graph_of(tmp_path, renamed)
    renames = [request.address["rename"] for request in graph.of("policy")]
    assert sorted(renames) == [[], [], [["image", "camera1"], ["image2", "camera2"]]]
    keys = [{request.key for request in each.of("rollout")} for each in (plain, graph)]
    assert len(keys[0] - keys[1]) == len(keys[1] - keys[0]) == 2, "those of the arm"


def test_given_and_trained_arms_stand_side_by_side(tmp_path: Path) -> None:
    text = edited(
        ("  E0: {memory: disabled}\n", "  old: {checkpoint: [{source: folder, path: a}, {source: folder, path: b}]}\n"
         "  E0: {memory: disabled, against: old}\n")
    )  # fmt: skip
    graph = graph_of(tmp_path, text)
    assert len(list(graph.of("train"))) == 6
    spec = spec_of(graph)
    assert {each.name: each.against for each in spec.conditions}["E0"] == "old"
    assert {each.name: each.given for each in spec.conditions}["old"] == 2


def test_the_trained_arms_of_a_study_are_the_same_stages_beside_given_ones(tmp_path: Path) -> None:
    old = "arms:\n  old: {checkpoint: [{source: folder, path: a}, {source: folder, path: b}]}\n"
    alone = {request.key for request in graph_of(tmp_path, SMALL_STUDY).of("rollout")}
    beside = {request.key for request in graph_of(tmp_path, edited(("arms:\n", old))).of("rollout")}
    assert alone < beside


REFUSED = {
    "a key of trained arms": (
        (("path: e1}}", "path: e1}, memory: zero}"),),
        "study.yaml:7: arms.E1.memory: unknown key; allowed here: against, rollout, ablations, checkpoint, encoder",
    ),
    "a section that nothing needs": (
        (("arms:\n", "encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}\narms:\n"),),
        "study.yaml:5: encoder: nothing is trained here, since all arms are given checkpoints; remove this key",
    ),
    "other numbers": (
        (("{source: folder, path: e1}", "[{source: folder, path: a}, {source: folder, path: b}]"),),
        "study.yaml:7: arms.E1.checkpoint: 2 of them, where arms.E0 has 1; every arm needs as many, one per seed",
    ),
    "one twice": (
        (
            ("{source: folder, path: e0}", "[{source: folder, path: a}, {source: folder, path: a}]"),
            ("{source: folder, path: e1}", "[{source: folder, path: b}, {source: folder, path: c}]"),
            ("{source: folder, path: e2}", "[{source: folder, path: d}, {source: folder, path: e}]"),
        ),
        "study.yaml:6: arms.E0.checkpoint[1]: this checkpoint is given twice",
    ),
    "no place": (
        (("{source: folder, path: e1}", "{source: folder}"),),
        "study.yaml:7: arms.E1.checkpoint: 'path' is missing",
    ),
    "no source": (
        (("{source: folder, path: e1}", "{path: e1}"),),
        "study.yaml:7: arms.E1.checkpoint: 'source' is missing; choose one of hub, folder",
    ),
    "no such source": (
        (("{source: folder, path: e1}", "{source: embedded}"),),
        "study.yaml:7: arms.E1.checkpoint.source: 'embedded' is not a source; choose one of hub, folder",
    ),
    "a trained arm without its data": (
        (("  E1: {checkpoint: {source: folder, path: e1}}", "  E1: {memory: zero}"),),
        "study.yaml:1: 'data' is missing, and arms.E1 is trained here; give it, or a checkpoint of the arm",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    replacements, message = REFUSED[name]
    path = tmp_path / "study.yaml"
    path.write_text(edited(*replacements, text=GIVEN))
    with pytest.raises(UserError) as error:
        load_study(path)
    assert message in str(error.value)
