"""The train stage on other families than SmolVLA: pi0 with and without memory, and one that takes no memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.compared import compare
from support.other_policies import other_checkpoint
from support.tiny_cell import build_inputs, cell_context, train_spec

from world_modality.errors import UserError
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.config_file import read_config_file
from world_modality.study.comparable import undeclared_differences
from world_modality.training import stage
from world_modality.training.compare_arms import resolved_settings
from world_modality.training.metrics import read_metrics
from world_modality.training.start import describe_policy

Inputs = dict[str, tuple[Path, ...]]


@pytest.fixture(scope="module")
def pi0_inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return build_inputs(tmp_path_factory.mktemp("pi0_inputs"), architecture="pi0-tiny")


@pytest.fixture(scope="module")
def pi0(tmp_path_factory: pytest.TempPathFactory, pi0_inputs: Inputs) -> Callable[[str], Path]:
    done: dict[str, Path] = {}

    def train(memory: str) -> Path:
        if memory not in done:
            context = cell_context(tmp_path_factory.mktemp(memory), pi0_inputs, memory=memory)
            stage.run(train_spec(memory, steps=8), context)
            done[memory] = context.artifact
        return done[memory]

    return train


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    return load_file(artifact / "pretrained_model" / "model.safetensors")


def arm(artifact: Path) -> dict[str, object]:
    import json

    return json.loads((artifact / "arm.json").read_text())


@pytest.mark.slow
def test_pi0_with_zero_memory_trains_to_the_very_weights_of_no_memory(pi0: Callable[[str], Path]) -> None:
    plain, zero, predicted = (weights(pi0(memory)) for memory in ("disabled", "zero", "pred"))
    assert all(torch.equal(plain[name], zero[name]) for name in plain)
    assert not all(torch.equal(plain[name], predicted[name]) for name in plain)
    assert zero.keys() == predicted.keys() > plain.keys()
    assert read_config_file(pi0("zero") / "pretrained_model")["type"] == "pi0_world"


def test_pi0_s_training_tells_what_smolvlas_does(pi0: Callable[[str], Path]) -> None:
    lines = read_metrics(pi0("pred") / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert {"loss", "flow_loss", "world_loss", "world_gate", "grad_norm_base", "grad_norm_world"} <= lines[0].keys()
    assert lines[0]["world_gate"] == 0.0 != lines[-1]["world_gate"]
    assert {path.name for path in pi0("pred").iterdir()} >= {"offline.json", "prophet.json"}


def test_arms_of_pi0_differ_in_the_memory_alone(pi0: Callable[[str], Path]) -> None:
    arms = {memory: arm(pi0(memory)) for memory in ("disabled", "zero", "pred")}
    compare(arms, resolved_settings())
    found = undeclared_differences(arms["zero"], arms["pred"], ())
    assert [each.key for each in found] == ["policy.world_memory_mode_train"]


def test_a_trained_pi0_is_loaded_whole_for_rollouts(pi0: Callable[[str], Path]) -> None:
    policy = load_policy(pi0("pred") / "pretrained_model", memory_mode="pred", num_steps=2, batch=3)
    stored = weights(pi0("pred"))
    held = policy._policy.state_dict()
    assert all(torch.equal(held[name], tensor) for name, tensor in stored.items())
    assert policy.trained_memory == "pred"
    assert policy.config.num_inference_steps == 2


@pytest.mark.parametrize("name", ["act", "diffusion"])
def test_a_family_without_memory_is_trained_by_the_same_stage(name: str, pi0_inputs: Inputs, tmp_path: Path) -> None:
    start = other_checkpoint(name, tmp_path / "start")
    assert describe_policy(start)["type"] == name
    inputs = {**pi0_inputs, "policy": (start,), "dataset": build_inputs(tmp_path, size=64)["dataset"]}
    context = cell_context(tmp_path / "cell", inputs, memory="disabled")
    spec = train_spec("disabled", steps=3).model_copy(update={"n_action_steps": 4})
    facts = stage.run(spec, context)
    assert facts["steps"] == 3
    trained, begun = weights(context.artifact), load_file(start / "model.safetensors")
    assert trained.keys() == begun.keys()
    assert not all(torch.equal(trained[name], begun[name]) for name in begun)
    assert load_policy(context.artifact / "pretrained_model", batch=2).config.type == name


def test_a_memory_for_a_family_that_takes_none_is_refused(pi0_inputs: Inputs, tmp_path: Path) -> None:
    inputs = {**pi0_inputs, "policy": (other_checkpoint("act", tmp_path / "start"),)}
    with pytest.raises(UserError, match="holds ACT, which takes no world memory: train it with 'disabled'"):
        stage.run(train_spec("pred", steps=1), cell_context(tmp_path, inputs, memory="pred"))
