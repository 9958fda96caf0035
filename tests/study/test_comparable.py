"""Trainings of a study are compared pair by pair; what may differ depends on the pair."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.compared import compare as compare_as
from support.small_study import edited, fixed_sources, graph_of

from world_modality.errors import UserError
from world_modality.study import graph
from world_modality.study.comparable import (
    ABSENT,
    SPECS,
    Difference,
    Trained,
    are_compared,
    require_comparable,
    require_equal,
    undeclared_differences,
)
from world_modality.study.load import load_study
from world_modality.study.slices import optim_spec, world_spec
from world_modality.study.specs import OptimSpec, ReportArm, ReportSpec, TrainSpec, WorldSpec
from world_modality.study.study import Arm, Study
from world_modality.study.world import ALIGNMENT
from world_modality.training.compare_arms import resolved_settings

REPOSITORY = Path(__file__).parents[2]
STUDIES = [REPOSITORY / "config.yaml", *sorted((REPOSITORY / "workflow" / "studies").glob("*.yaml"))]
KEYS = st.sampled_from(["a", "b", "steps"])
ARMS = st.recursive(
    st.integers(0, 2) | st.booleans() | st.none(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(KEYS, ARMS, max_size=3), st.dictionaries(KEYS, ARMS, max_size=3))
def test_differences_are_symmetric_and_none_for_equals(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert undeclared_differences(one, one, ()) == []
    forth, back = undeclared_differences(one, other, ()), undeclared_differences(other, one, ())
    assert forth == [Difference(each.key, each.b, each.a) for each in back]
    assert undeclared_differences(one, other, {each.key for each in forth}) == []


def test_a_declared_key_covers_what_is_below_it_and_nothing_beside_it() -> None:
    one = {"policy": {"world": {"heads": 8}, "world_lr": 1}, "steps": 5}
    other = {"policy": {"world": {"heads": 4}, "world_lr": 2}}
    assert undeclared_differences(one, other, {"policy.world"}) == [
        Difference("policy.world_lr", 1, 2),
        Difference("steps", 5, ABSENT),
    ]


def test_error_names_keys_and_both_values_and_what_to_do() -> None:
    message = "arm E0 and arm E2 differ in more than was declared: lr is 0.1 against 0.2; steps is 5 against 6; mend it"
    with pytest.raises(UserError, match=message):
        require_equal("arm E0", {"lr": 0.1, "steps": 5}, "arm E2", {"lr": 0.2, "steps": 6}, {"policy"}, "mend it")
    require_equal("arm E0", {"lr": 0.1}, "arm E2", {"lr": 0.1}, (), "mend it")


def training(memory: str = "disabled", seed: int = 0, **changed: Any) -> dict[str, Any]:
    plain = memory == "disabled"
    return {
        "memory": memory,
        "world": None if plain else {"heads": 8, "cameras": ["image"]},
        "optim": {"lr": 1e-4, "world_lr": 1e-3 if plain else 1e-4},
        "seed": seed,
        "threads": 2,
        "inputs": {"dataset": "d"} if plain else {"dataset": "d", "latents_image": "l", "encoder": "e"},
        **changed,
    }


def of_cameras(cameras: list[str] | None = None, **latents: str) -> dict[str, Any]:
    """A training with predicted memory on the latents of some cameras: camera -> key."""
    inputs = {"dataset": "d", "encoder": "e", **{f"latents_{camera}": key for camera, key in latents.items()}}
    return training("pred", world={"heads": 8, "cameras": cameras or list(latents)}, inputs=inputs)


def compare(trainings: dict[str, dict[str, Any]], *words: str, against: str = "") -> None:
    """Compare trainings as they are planned, each of an arm that declares so much besides its memory."""
    compare_as(trainings, SPECS, *words, against=against, advice="mend it")


def test_arms_may_differ_in_their_memory() -> None:
    compare({memory: training(memory) for memory in ("disabled", "zero", "pred")})


def test_trainings_of_an_arm_may_differ_in_their_seed() -> None:
    arms = [ReportArm(name=name, against="", declared=("memory",), trainings=()) for name in ("disabled", "pred")]
    trained = {f"{arm.name}{seed}": Trained(arm.name, training(arm.name, seed)) for arm in arms for seed in (0, 1)}
    require_comparable(trained, arms, SPECS, "mend it")
    trained = {name: each for name, each in trained.items() if each.arm == "pred"}
    trained["pred1"] = Trained("pred", training("pred", 1, threads=3))
    with pytest.raises(UserError, match=r"pred0 and pred1 differ .* threads is 2 against 3"):
        require_comparable(trained, arms, SPECS, "mend it")


def test_arms_may_differ_in_their_cameras_where_they_say_so() -> None:
    views = [of_cameras(image="l"), of_cameras(image2="w"), of_cameras(image="l", image2="w")]
    turned = of_cameras(cameras=["image2", "image"], image="l", image2="w")
    trainings = {str(number): each for number, each in enumerate([training(), training("zero"), *views, turned])}
    compare(trainings, "cameras")
    with pytest.raises(UserError, match=r"world\.cameras is"):
        compare(trainings)


@pytest.mark.parametrize("key", ["lambda_world", "detach", "prediction_horizon", "fusion"])
def test_arms_may_differ_in_any_setting_of_the_memory_that_they_declare(key: str) -> None:
    one, other = ({"heads": 8, "cameras": ["image"], key: value} for value in (0, 1))
    trainings = {"E0": training(), "a": training("pred", world=one), "b": training("pred", world=other)}
    compare(trainings, f"world.{key}")
    with pytest.raises(UserError, match=f"a and b differ .*: world.{key} is 0 against 1; mend it"):
        compare(trainings, "world.heads")


def test_arms_may_have_encoders_and_policies_of_their_own_where_they_say_so() -> None:
    own = {"dataset": "d", "policy": "p", "latents_image": "other", "encoder": "other"}
    trainings = {
        "a": training("pred", inputs=own | {"encoder": "e", "latents_image": "l"}),
        "b": training("pred", inputs=own),
    }
    compare(trainings, "encoder")
    with pytest.raises(UserError, match=r"inputs.encoder is 'e' against 'other'; inputs.latents_image"):
        compare(trainings, "cameras")
    trainings = {"a": training(inputs={"policy": "p"}, family="x"), "b": training(inputs={"policy": "q"}, family="y")}
    compare(trainings, "policy", against="a")
    with pytest.raises(UserError, match="family is 'x' against 'y'"):
        compare(trainings, against="a")


def arm(name: str, against: str = "", *declared: str) -> ReportArm:
    return ReportArm(name=name, against=against, declared=("memory", *declared), trainings=())


def test_arms_are_compared_with_their_control_and_its_other_arms_alone() -> None:
    plain, zero, pred, act = arm("E0"), arm("E1", "E0"), arm("E2", "E0"), arm("act", "", "policy")
    late = arm("late", "E2", "world.fusion")
    assert are_compared(plain, zero)
    assert are_compared(pred, plain)
    assert are_compared(zero, pred)
    assert are_compared(late, pred)
    assert not are_compared(late, plain)
    assert not are_compared(act, plain)
    assert not are_compared(act, zero)
    assert are_compared(arm("act", "E0", "policy"), plain)
    assert are_compared(arm("a"), arm("b")), "without any control, arms of one policy belong together"


def test_what_arms_of_a_study_have_of_their_own_is_compared_under_both_names() -> None:
    """As specs when a study is planned, and as LeRobot's settings when a table is made."""
    from lerobot_policy_world_modality.configuration_smolvla_world import SmolVLAWorldConfig

    spec = world_spec(load_study(STUDIES[0]).study, Arm(memory="scheduled"))  # whose spec has every setting
    assert spec is not None
    words = {word.removeprefix("world.") for word in SPECS.words if word.startswith("world.")}
    assert words - {"prophet_rank", "prophet_steps"} == spec.address().keys() - {"cameras"} | {"align", *ALIGNMENT}
    resolved = resolved_settings()
    assert resolved.words.keys() == SPECS.words.keys()
    fields = {f"policy.{each.name}" for each in dataclasses.fields(SmolVLAWorldConfig)}
    flags = {flag for word, settings in resolved.words.items() if word != "policy" for flag in settings}
    assert {flag for flag in flags if flag.startswith("policy.")} <= fields


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (training("pred", world={"heads": 2}), "b and c differ .* world.heads is 8 against 2"),
        (training("pred", optim={"lr": 1e-4, "world_lr": 5e-4}), "b and c differ .*world_lr is 0.0001 against 0.0005"),
        (of_cameras(image="m"), "b and c .* inputs.latents_image is 'l' against 'm'"),
        (of_cameras(image="m", image2="w"), "b and c .*: inputs.latents_image is 'l' against 'm'; mend it"),
        (of_cameras(["image"]), "b and c .* inputs.latents_image is 'l' against '.absent.'"),
        (training("pred", inputs={"dataset": "x", "latents_image": "l"}), "a and c .* inputs.dataset is 'd'"),
        (training("pred", threads=1), "a and c differ .* threads is 2 against 1"),
        (training("zero", world={"heads": 2}), "b and c differ .* world.heads is 8 against 2"),
    ],
)
def test_anything_else_is_found_in_whichever_pair_it_is(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        compare({"a": training(), "b": training("zero"), "c": changed}, "cameras")


def test_an_aligned_arm_has_what_a_memory_has_where_it_says_so_and_nothing_else() -> None:
    taught = {"heads": 8, "cameras": ["image"], "align": True, "align_weight": 0.2}
    inputs = {"dataset": "d", "latents_image": "l", "encoder": "e"}
    aligned = training(world=taught, optim={"lr": 1e-4, "world_lr": 1e-4}, inputs=inputs)
    compare({"a": training(), "b": aligned}, "world.align")
    with pytest.raises(UserError, match=r"a and b differ .* optim.world_lr is"):
        compare({"a": training(), "b": aligned}, "world.align_weight")
    with pytest.raises(UserError, match=r"a and b differ .* threads is 2 against 1"):
        compare({"a": training(), "b": {**aligned, "threads": 1}}, "world.align")
    other = {**aligned, "world": {**taught, "align_weight": 0.3}}
    compare({"a": aligned, "b": other}, "world.align", "world.align_weight")
    with pytest.raises(UserError, match=r"a and b differ .* world.align_weight is 0.2 against 0.3"):
        compare({"a": aligned, "b": other}, "world.align")


def test_every_arm_has_the_same_seeds() -> None:
    arms = [arm("E0"), arm("E2", "E0")]
    trained = {
        "a": Trained("E0", training()),
        "b": Trained("E0", training(seed=1)),
        "c": Trained("E2", training("pred", seed=1)),
    }
    with pytest.raises(UserError, match="arm E2 has no training with seed 0, as others have"):
        require_comparable(trained, arms, SPECS, "mend it")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_the_arms_of_every_committed_study_are_comparable(path: Path) -> None:
    study = load_study(path).study
    planned = graph.build_graph(study, fixed_sources(study))
    assert any(request.stage == "train" for request in planned.stages.values()) == bool(study.trained)


def longer_warm_up(study: Study, memory: str, **settings: bool) -> OptimSpec:
    optim = optim_spec(study, memory, **settings)
    return optim.model_copy(update={"warmup_steps": 5}) if memory == "pred" else optim


def test_arms_that_would_be_trained_differently_are_not_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "optim_spec", longer_warm_up)
    expected = (
        "train E0/0 and train E2/0 differ in more than was declared: optim.warmup_steps is 0 against 5; "
        "arms share every setting that they do not declare"
    )
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        graph_of(tmp_path)


def test_two_memories_of_different_make_are_not_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def smaller_for_pred(study: Study, arm: Arm) -> WorldSpec | None:
        world = world_spec(study, arm)
        return world.model_copy(update={"heads": 4}) if world and arm.memory == "pred" else world

    monkeypatch.setattr(graph, "world_spec", smaller_for_pred)
    with pytest.raises(UserError, match=r"train E1/0 and train E2/0 differ .* world\.heads is 8 against 4"):
        graph_of(tmp_path)


def test_every_field_of_a_training_is_compared(tmp_path: Path) -> None:
    request = next(graph_of(tmp_path).of("train"))
    assert isinstance(request.spec, TrainSpec)
    assert request.address.keys() == {*TrainSpec.model_fields, "arithmetic"}
    assert request.address["optim"].keys() == OptimSpec.model_fields.keys()


OWN_POLICY = "{memory: disabled, policy: {source: folder, path: p}"


def test_a_policy_of_another_make_is_a_control_of_its_own(tmp_path: Path) -> None:
    text = edited(("  E1: {memory: zero}\n", f"  E1: {{memory: zero}}\n  other: {OWN_POLICY}}}\n"))
    spec = graph_of(tmp_path, text).report.spec
    assert isinstance(spec, ReportSpec)
    assert {each.name: (each.against, each.declared) for each in spec.arms} == {
        "E0": ("", ("memory",)),
        "E1": ("E0", ("memory",)),
        "other": ("", ("memory", "policy")),
        "E2": ("E0", ("memory",)),
    }


def test_an_arm_may_name_its_control(tmp_path: Path) -> None:
    text = edited(
        ("  E1: {memory: zero}\n", f"  E1: {{memory: zero}}\n  other: {OWN_POLICY}, against: E0}}\n"),
        ("{memory: pred, ab", "{memory: pred, against: E1, ab"),
    )
    spec = graph_of(tmp_path, text).report.spec
    assert isinstance(spec, ReportSpec)
    assert {condition.name: condition.against for condition in spec.conditions} == {
        "E0": "",
        "E1": "E0",
        "other": "E0",
        "E2": "E1",
        "E2-zero": "E2",
        "E2-random": "E2",
    }
