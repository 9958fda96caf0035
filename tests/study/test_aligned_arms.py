"""Arms without memory whose hidden states learn to foretell latents: what they read, and what they are held against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.small_study import SMALL_STUDY, edited, fixed_sources, graph_of

from world_modality.errors import UserError
from world_modality.report.claims import claims_of, plan_of
from world_modality.study.conditions import control_of
from world_modality.study.load import load_study
from world_modality.study.specs import ReportSpec

E0 = "  E0: {memory: disabled}\n"
ALIGNED = edited((E0, f"  E0_align: {{memory: disabled, world: {{align: true}}}}\n{E0}"))


def aligned(extra: str) -> str:
    """The study with more in the arm's section."""
    return ALIGNED.replace("align: true}", f"align: true, {extra}}}")


def world(folder: Path, text: str = ALIGNED) -> dict[str, object]:
    graph = graph_of(folder, text)
    found: dict[str, object] = graph.stages[graph.names["train/E0_align-seed0"]].address["world"]
    return found


def test_it_reads_latents_and_is_rolled_out_as_the_plain_policy(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, ALIGNED)
    training = graph.stages[graph.names["train/E0_align-seed0"]]
    assert [each.role for each in training.inputs] == ["policy", "dataset", "latents_image", "encoder"]
    assert training.address["memory"] == "disabled"
    rollout = graph.stages[graph.names["rollouts/E0_align/seed0/task0"]]
    assert [each.role for each in rollout.inputs] == ["checkpoint"]
    assert rollout.address["memory"] == "disabled"


def test_no_other_stage_of_the_study_changes(tmp_path: Path) -> None:
    plain, graph = graph_of(tmp_path, SMALL_STUDY), graph_of(tmp_path, ALIGNED)
    assert {name: graph.names[name] for name in plain.names if name != "report"} == {
        name: key for name, key in plain.names.items() if name != "report"
    }


def test_its_settings_are_the_arms_own_and_in_its_key_alone(tmp_path: Path) -> None:
    default = world(tmp_path)
    assert {key: value for key, value in default.items() if key.startswith("align")} == {
        "align": True, "align_weight": 0.2, "align_depth": 0.75, "align_tokens": "steps",
    }  # fmt: skip
    own = world(tmp_path, aligned("align_weight: 1, align_depth: 0.5, align_tokens: mean, prediction_horizon: 2"))
    changed = {key: value for key, value in own.items() if default.get(key) != value}
    assert changed == {"align_weight": 1, "align_depth": 0.5, "align_tokens": "mean", "prediction_horizon": 2}
    idle = world(tmp_path, aligned("heads: 4, lambda_world: 3, fusion: layers"))  # of a memory, which it has not
    assert idle == default
    graph = graph_of(tmp_path, ALIGNED)
    for arm in ("E1", "E2"):
        assert not any(
            key.startswith("align") for key in graph.stages[graph.names[f"train/{arm}-seed0"]].address["world"]
        )
    faster = graph_of(tmp_path, ALIGNED.replace("batch_size: 2", "batch_size: 2\n  world_lr: 0.01"))
    same = [name for name in graph.names if name.startswith("train/E0") and faster.names[name] == graph.names[name]]
    assert same == ["train/E0-seed0", "train/E0-seed1"]  # which has no head to train at that rate


def test_it_is_held_against_the_plain_arm_and_nobodys_control_by_itself(tmp_path: Path) -> None:
    """It stands first in the file, and is what no memory is compared with."""
    path = tmp_path / "study.yaml"
    path.write_text(ALIGNED)
    study = load_study(path).study
    controls = {name: control_of(study, fixed_sources(study), name) for name in study.arms}
    assert controls == {"E0_align": "E0", "E0": None, "E1": "E0", "E2": "E0"}
    spec = graph_of(tmp_path, ALIGNED).report.spec
    assert isinstance(spec, ReportSpec)
    names = [claim.name for claim in claims_of(spec.conditions, 0.05)]
    assert names == ["pred > zero", "pred > random", "E2 > E0", "E1 = E0", "E0_align > E0"]
    plan = plan_of(spec)
    assert plan is not None
    assert plan.baseline == "E0"


def test_so_are_given_ones(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    arms = "".join(f"  {name}: {{checkpoint: {{source: folder, path: {name}}}}}\n" for name in ("A0", "E0", "E1"))
    path.write_text(
        "study: given\nsuite: libero_spatial\ntasks: [0]\nsimulator: {assets: package}\n"
        f"arms:\n{arms}rollouts: {{init_states: 0-9, episodes: 10}}\n"
    )
    study = load_study(path).study
    sources = fixed_sources(study)
    taught = (replace(sources.checkpoints["A0"][0], aligned=True),)
    sources = replace(sources, checkpoints={**sources.checkpoints, "A0": taught})
    assert {name: control_of(study, sources, name) for name in study.arms} == {"A0": "E0", "E0": None, "E1": "E0"}


REFUSED = {
    "with a memory": (
        edited(("E1: {memory: zero}", "E1: {memory: zero, world: {align: true}}")),
        "arms.E1.world.align: an arm is aligned in place of a memory, and this one has memory zero; write memory: ",
    ),
    "without latents": (
        ALIGNED.replace("encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}\n", ""),
        "'encoder' is missing, and arms.E0_align is aligned with latents",
    ),
    "a policy that cannot": (
        ALIGNED.replace("world: {align: true}}", "world: {align: true}, policy: {source: new, type: act}}"),
        "arms.E0_align.world.align: no hidden states of ACT can be taught to foretell latents; choose SmolVLA or pi0",
    ),
    "a transformer": (
        ALIGNED.replace(
            "world: {align: true}}",
            "world: {align: true}, policy: {source: new, type: world_transformer, settings: {chunk_size: 10}}}",
        ),
        "arms.E0_align.world.align: no hidden states of world transformer can be taught to foretell latents",
    ),
    "too far ahead": (
        aligned("prediction_horizon: 11"),
        "arms.E0_align.world.align: 11 frames ahead exceed the policy's chunk of 10 actions, of which the k-th",
    ),
    "too few weights": (
        aligned("step_weights: [1, 2]"),
        "arms.E0_align.world.step_weights: [1.0, 2.0] are not 8 weights",
    ),
    "in every arm": (
        edited(("world: {", "world: {align: true, ")),
        "world.align: is a treatment, which an arm has and its control has not; write it below arms.NAME.world",
    ),
    "settings of none": (
        edited(("world: {", "world: {align_weight: 1, ")),
        "world.align_weight: says how an arm is aligned, and none is; remove this key, or set an arm's align",
    ),
    "settings of an arm that is not": (
        ALIGNED.replace("E1: {memory: zero}", "E1: {memory: zero, world: {align_depth: 0.5}}"),
        "arms.E1.world.align_depth: says how an arm is aligned, which one with memory zero is not; remove this key",
    ),
    "no depth": (aligned("align_depth: 0"), "arms.E0_align.world.align_depth: must be greater than 0, not 0"),
    "an ablation": (
        ALIGNED.replace("world: {align: true}}", "world: {align: true}, ablations: [zero]}"),
        "arms.E0_align.ablations[0]: an arm whose memory is disabled has no world memory to ablate",
    ),
    "the same twice": (
        ALIGNED.replace(E0, f"  again: {{memory: disabled, world: {{align: true, heads: 4}}}}\n{E0}"),
        "arms.again.memory: 'disabled' is what arms.E0_align trains too; they would be equal",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_at_planning_in_one_sentence(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(UserError) as caught:
        graph_of(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
