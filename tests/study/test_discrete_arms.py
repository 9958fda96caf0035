"""Models of the discrete line as arms: what each of them reads, how they are compared, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_study import DISCRETE_STUDY as STUDY
from support.small_study import graph_of

from world_modality.errors import UserError
from world_modality.study.arm_checks import token_problems
from world_modality.study.graph import Graph
from world_modality.study.load import load_study


def read(graph: Graph, name: str) -> set[str]:
    names = {key: name for name, key in graph.names.items()}
    return {names[each.key] for each in graph.stages[graph.names[name]].inputs}


def error_of(tmp_path: Path, *edits: tuple[str, str]) -> str:
    text = STUDY
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as told:
        load_study(path)
    return str(told.value)


def test_every_arm_sees_latents_and_only_those_that_know_tokens_read_them(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, STUDY)
    for arm in ("A", "B", "B_cont", "C", "C_no_world_input", "F"):
        found = read(graph, f"train/{arm}-seed0")
        assert {"dataset", "latents/image", "encoder"} <= found
        assert ("tokens/image" in found) == (arm in ("B", "C", "C_no_world_input"))
    for arm in ("A", "C", "F-zero", "F-random"):  # which encode what they see, whatever the memory holds
        assert "encoder" in read(graph, f"rollouts/{arm}/seed0/task0")


def test_instructions_are_read_by_all_that_see_latents_and_by_no_other(tmp_path: Path) -> None:
    mixed = STUDY.replace("arms:\n", "arms:\n  E0: {memory: disabled, policy: {source: embedded}}\n")
    graph = graph_of(tmp_path, mixed + "instructions: {source: embedded}\n")
    assert "instructions" in read(graph, "train/A-seed0") & read(graph, "train/F-seed1")
    assert "instructions" not in read(graph, "train/E0-seed0")


def test_a_model_can_be_compared_with_a_policy_that_sees_pictures(tmp_path: Path) -> None:
    mixed = STUDY.replace("arms:\n", "arms:\n  E0: {memory: disabled, policy: {source: embedded}}\n").replace(
        "  A: {memory: disabled}\n", "  A: {memory: disabled, against: E0}\n"
    )
    graph = graph_of(tmp_path, mixed + "instructions: {source: embedded}\n")
    assert graph.stages[graph.names["train/A-seed0"]].address["family"] == "world_transformer"


def test_settings_are_taken_over_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    policy = load_study(path).study.trained["C"].policy
    assert dict(policy.settings) == {"chunk_size": 10, "width": 64, "heads": 4, "model": "C"}


def test_without_a_memory_only_what_is_predicted_reaches_the_training(tmp_path: Path) -> None:
    def changed(old: str, new: str) -> set[str]:
        graphs = graph_of(tmp_path, STUDY), graph_of(tmp_path, STUDY.replace(old, new))
        names = [name for name in graphs[0].names if name.startswith("train/") and name.endswith("seed0")]
        return {name for name in names if graphs[0].names[name] != graphs[1].names[name]}

    assert changed("prophet_width: 128", "prophet_width: 64") == {"train/F-seed0"}
    assert len(changed("prediction_horizon: 8", "prediction_horizon: 4")) == 6
    assert changed("tokens: {size: 32}", "tokens: {size: 16}") == {
        "train/B-seed0",
        "train/C-seed0",
        "train/C_no_world_input-seed0",
    }


def test_a_study_s_policy_that_knows_tokens_and_that_no_arm_starts_from_is_no_problem(tmp_path: Path) -> None:
    own = "policy: {source: new, type: world_transformer, settings: {chunk_size: 10, n_action_steps: 10}}"
    arms = STUDY[STUDY.index("  A: ") : STUDY.index("tokens:")]
    start = STUDY[STUDY.index("policy: ") : STUDY.index("training:")]
    text = STUDY.replace("tokens: {size: 32}\n", "").replace(arms, f"  A: {{memory: disabled, {own}}}\n")
    path = tmp_path / "study.yaml"
    path.write_text(text.replace(start, "policy: {source: folder, type: world_transformer, path: of_model_c}\n"))
    study = load_study(path).study
    assert study.policy is not None
    assert list(token_problems(study, study.policy)) == []
    (problem,) = token_problems(study, study.policies[-1])
    assert "arms.A knows world tokens" in problem[1]


def test_f_is_compared_with_a_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    assert load_study(path).study.control_of("F") == "A"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{model: C}}, against: B", "{model: C, world_input_scale: 0}}, against: B", "make the network of arms.C"),
        ("{model: C}}, against: B", "{model: C, world_input_dropout: 1}}, against: B", "make the network of arms.C"),
        ("{model: B}}", "{model: A}}", "these settings make the network of arms.A"),
        ("{model: B}}", "{model: A, world_input_scale: 2}}", "these settings make the network of arms.A"),
        ("{model: B}}", "{model: A, block_world_to_action: true}}", "these settings make the network of arms.A"),
        ("{model: B}}", "{model: F}}", "'F' is no model; choose one of A, B, B_cont, C, C_no_world_input (F is A"),
        ("{model: C}}", "{model: C, world_lambda: 0.9}}", "settings.world_lambda: is set by the study's section world"),
        ("{model: C}}", "{model: C, optimizer_lr: 0.9}}", "optimizer_lr: is set by the study's section training"),
        ("{model: C}}", "{model: C, widht: 32}}", "widht: unknown setting; did you mean width?"),
        ("{model: C}}", "{model: C, width: 66}}", "settings.width: 66 is not a multiple of heads (4)"),
        ("{model: C}}", "{model: C, layers: -1}}", "layers: must be greater than 0, not -1"),
        ("{model: C}}", "{model: C, dropout: 2}}", "dropout: must be less than 1"),
        ("{model: C}}", '{model: C, width: "big"}}', "width: must be a whole number, not 'big'"),
        ("{model: B}}", "{layers: 4}}", "these settings make the network of arms.A"),
        ("chunk_size: 10, ", "", "10 exceeds the policy's chunk of 8 actions"),
        ("prophet_layers: 2", "prophet_layers: 2, actions: true", "there are no noisy actions"),
        ("F: {memory: pred", "A2: {memory: disabled, world: {prediction_horizon: 4}}\n  F: {memory: pred", "arms.A"),
        ("tokens: {size: 32}\n", "", "'tokens' is missing, and arms.B knows world tokens"),
        ("image_size: 64}", "image_size: 64, cameras: [image, image2]}", "world tokens of one camera; name one"),
        ("F: {memory: pred, ablations: [zero", "F: {memory: pred, ablations: [stale", "made of the past alone"),
        ("F: {memory: pred", "F: {memory: pred, world: {fusion: suffix}", "choose one of late"),
        ("init_states: 0-9}\n", "init_states: 0-9}\n  relabel: {per_task: 1, init_states: 0-9}\n", "cannot drive"),
        (
            "encoder: {kind: vjepa2, source: embedded, frames: 4, image_size: 64}\n",
            "",
            "'encoder' is missing, and arms.A sees frames as latents",
        ),
    ],
)
def test_what_makes_no_comparison_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in error_of(tmp_path, (old, new))


def test_a_model_with_a_memory_is_another_than_one_without(tmp_path: Path) -> None:
    text = STUDY.replace(
        "  F: {memory", "  B_with_memory: {memory: pred, policy: {settings: {model: B}}}\n  F: {memory"
    )
    assert "tokens/image" in read(graph_of(tmp_path, text), "train/B_with_memory-seed1")
