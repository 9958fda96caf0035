"""Trainings of a study are compared pair by pair; what may differ depends on the pair."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_study import FIXED_SOURCES, graph_of

from world_modality.errors import UserError
from world_modality.study import graph
from world_modality.study.arms import (
    ABSENT,
    SPECS,
    Difference,
    require_comparable,
    require_equal,
    undeclared_differences,
)
from world_modality.study.load import load_study
from world_modality.study.slices import optim_spec, world_spec
from world_modality.study.specs import OptimSpec, TrainMode, TrainSpec, WorldSpec
from world_modality.study.study import Arm, Study
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


def test_arms_may_differ_in_their_memory_and_seed() -> None:
    trainings = {
        f"{memory}{seed}": training(memory, seed) for memory in ("disabled", "zero", "pred") for seed in (0, 1)
    }
    require_comparable(trainings, SPECS, "mend it")


def test_arms_may_differ_in_their_cameras() -> None:
    views = [of_cameras(image="l"), of_cameras(image2="w"), of_cameras(image="l", image2="w")]
    turned = of_cameras(cameras=["image2", "image"], image="l", image2="w")
    trainings = {str(number): each for number, each in enumerate([training(), training("zero"), *views, turned])}
    require_comparable(trainings, SPECS, "mend it")


def test_arms_may_differ_in_the_prophets_loss_and_in_whether_the_memory_is_detached() -> None:
    own = [{}, {"lambda_world": 0.0}, {"detach": True}, {"lambda_world": 1.0, "detach": True}]
    trainings = {
        str(number): training(
            "pred", world={"heads": 8, "cameras": ["image"], "lambda_world": 0.2, "detach": False} | each
        )
        for number, each in enumerate(own)
    }
    require_comparable({"E0": training(), **trainings}, SPECS, "mend it")


def test_what_arms_of_a_study_have_of_their_own_is_compared_under_both_names() -> None:
    """As specs when a study is planned, and as LeRobot's settings when a table is made."""
    spec = world_spec(load_study(STUDIES[0]).study, Arm(memory="pred"))
    assert spec is not None
    for treatment in SPECS.treatments - {"memory"}:
        assert treatment.removeprefix("world.") in spec.address()
    renamed = {"memory": "memory_mode_train", "world.lambda_world": "lambda"}
    flags = {f"policy.world_{renamed.get(each, each.removeprefix('world.'))}" for each in SPECS.treatments}
    assert resolved_settings().treatments == flags


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
        (training("zero", seed=1, optim={"lr": 2e-4, "world_lr": 1e-4}), "optim.lr is 0.0001 against 0.0002"),
        (training("zero", world={"heads": 2}), "b and c differ .* world.heads is 8 against 2"),
    ],
)
def test_anything_else_is_found_in_whichever_pair_it_is(changed: dict[str, Any], named: str) -> None:
    trainings = {"a": training(), "b": training("zero"), "c": changed}
    with pytest.raises(UserError, match=named):
        require_comparable(trainings, SPECS, "mend it")


def test_every_arm_has_the_same_seeds() -> None:
    trainings = {"a": training(), "b": training(seed=1), "c": training("pred", seed=1)}
    with pytest.raises(UserError, match="arm with memory pred has no training with seed 0, as others have"):
        require_comparable(trainings, SPECS, "mend it")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_the_arms_of_every_committed_study_are_comparable(path: Path) -> None:
    planned = graph.build_graph(load_study(path).study, FIXED_SOURCES)
    assert any(request.stage == "train" for request in planned.stages.values())


def longer_warm_up(study: Study, memory: TrainMode) -> OptimSpec:
    optim = optim_spec(study, memory)
    return optim.model_copy(update={"warmup_steps": 5}) if memory == "pred" else optim


def test_arms_that_would_be_trained_differently_are_not_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "optim_spec", longer_warm_up)
    expected = (
        "train E0/0 and train E2/0 differ in more than was declared: optim.warmup_steps is 0 against 5; "
        "arms share every setting but their memory"
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
    assert request.address.keys() == TrainSpec.model_fields.keys()
    assert request.address["optim"].keys() == OptimSpec.model_fields.keys()
