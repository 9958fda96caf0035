"""The discrete line through the stages of all policies: built, trained, resumed, judged, and asked in a rollout."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors.torch import load_file
from support.data_stages import stage_context as data_context
from support.tiny_cell import WORLD, build_inputs, stage_context, train_spec

from world_modality.benchmarks.contract import Observation
from world_modality.data.episodes import load_metadata
from world_modality.errors import UserError
from world_modality.facts.discrete import MODELS
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.contract import PolicyRequest
from world_modality.store.stage import StageContext
from world_modality.study.specs import BEFORE, PolicySpec, TokensSpec, TrainSpec
from world_modality.tokens.reader import open_tokens
from world_modality.tokens.stage import run as run_tokens
from world_modality.training import stage, start
from world_modality.training.metrics import read_metrics

SIZES = {"width": 16, "layers": 1, "heads": 2, "chunk_size": 5, "n_action_steps": 5}
WEIGHTS = "pretrained_model/model.safetensors"
Inputs = dict[str, tuple[Path, ...]]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """What their trainings read, policies aside."""
    root = tmp_path_factory.mktemp("inputs")
    found = build_inputs(root)
    context = data_context(root / "tokens", latents=found["latents_image"][0], dataset=found["dataset"][0])
    run_tokens(TokensSpec(size=6, l2_normalise=False, seed=0, iterations=5, sample=1000, held_out=0.0), context)
    return {**found, "tokens_image": (context.artifact,)}


def policy_of(folder: Path, model: str, seed: int = 0) -> Path:
    context = stage_context(folder)
    settings = tuple(sorted({**SIZES, "model": model}.items()))
    told = start.run(
        PolicySpec(
            family="world_transformer",
            source="new",
            name="world_transformer",
            revision="",
            seed=seed,
            suite="libero_spatial",
            pixels=32,
            settings=settings,
        ),
        context,
    )
    assert told == {"type": "world_transformer", "backbone": "", "tokenizer": ""}
    return context.artifact


def cell(root: Path, inputs: Inputs, model: str, **more: tuple[Path, ...]) -> StageContext:
    roles = ("dataset", "latents_image", "encoder", *(("tokens_image",) if MODELS[model].knows_tokens else ()))
    policy = policy_of(root / "policy", model)
    return stage_context(root / "train", {**{role: inputs[role] for role in roles}, "policy": (policy,), **more})


def spec_of(memory: str = "disabled", **settings: Any) -> TrainSpec:
    found = train_spec(memory, steps=4)
    return found.model_copy(update={"family": "world_transformer", "world": WORLD, **settings})


def trained(root: Path, inputs: Inputs, model: str, memory: str = "disabled") -> Path:
    context = cell(root, inputs, model)
    stage.run(spec_of(memory), context)
    return context.artifact / "pretrained_model"


def request(latents: np.ndarray, seed: int = 0) -> PolicyRequest:
    frame = np.zeros((32, 32, 3), np.uint8)
    seen = Observation({"image": frame, "image2": frame}, np.zeros(8, np.float32))
    return PolicyRequest(seen, "pick up the bowl", seed, latents=latents)


@pytest.mark.parametrize("model", MODELS.names)
def test_every_model_is_trained_and_answers_what_it_sees(inputs: Inputs, tmp_path: Path, model: str) -> None:
    checkpoint = trained(tmp_path, inputs, model)
    policy = load_policy(checkpoint, batch=2)
    latents = np.random.default_rng(0).normal(size=(WORLD.context, 1, 6)).astype(np.float32)
    one, other = policy.infer([request(latents), request(latents + 1)])
    assert one.shape == (5, 7)
    assert not np.array_equal(one, other)
    assert np.array_equal(one, policy.infer([request(latents, seed=9)])[0])  # a chunk that is regressed has no noise
    earlier = np.concatenate([latents[:1] + 5, latents[1:]])
    assert np.array_equal(one, policy.infer([request(earlier)])[0])  # the present frame alone
    with pytest.raises(ValueError, match="needs the world's history"):
        policy.infer([replace(request(latents), latents=None)])
    assert policy.facts.pictures == {"observation.images.image": (32, 32)}
    if MODELS[model].knows_tokens:
        known = open_tokens(inputs["tokens_image"][0], frames=45)
        assert torch.equal(policy._policy.centroids, torch.from_numpy(known.codebook.centroids))


def test_a_model_with_a_memory_looks_ahead_by_what_it_sees(inputs: Inputs, tmp_path: Path) -> None:
    """It sees latents whatever its memory holds: with zero memory as in mode zero, and then as an oracle."""
    checkpoint = trained(tmp_path, inputs, "A", "pred")
    policy, zero, oracle = (load_policy(checkpoint, memory_mode=mode) for mode in ("oracle_policy", "zero", "zero"))
    oracle.config.world_memory_mode_rollout = "oracle"
    rng = np.random.default_rng(0)
    asked = request(rng.normal(size=(WORLD.context, 1, 6)).astype(np.float32))
    told = replace(asked, future=rng.normal(size=(WORLD.prediction_horizon, 1, 6)).astype(np.float32))
    np.testing.assert_array_equal(policy.infer([replace(asked, zero_memory=True)]), zero.infer([asked]))
    np.testing.assert_array_equal(policy.infer([told]), oracle.infer([told]))
    with pytest.raises(ValueError, match="needs the world's history"):
        policy.infer([replace(asked, latents=None, zero_memory=True)])


@pytest.mark.parametrize(("model", "memory"), [("C", "disabled"), pytest.param("A", "pred", marks=pytest.mark.slow)])
def test_a_training_in_parts_is_the_same_to_the_last_bit(
    inputs: Inputs, tmp_path: Path, model: str, memory: str
) -> None:
    whole = load_file(trained(tmp_path / "whole", inputs, model, memory) / "model.safetensors")
    first = cell(tmp_path / "first", inputs, model)
    stage.run(spec_of(memory, stop=2), first)
    rest = cell(tmp_path / "rest", inputs, model, **{BEFORE: (first.artifact,)})
    stage.run(spec_of(memory), rest)
    parts = load_file(rest.artifact / WEIGHTS)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_every_training_seed_draws_weights_of_its_own(inputs: Inputs, tmp_path: Path) -> None:
    weights = []
    for number, (policy_seed, seed) in enumerate([(0, 0), (0, 0), (0, 1), (1, 0)]):
        context = cell(tmp_path / str(number), inputs, "A")
        policy = policy_of(tmp_path / f"policy{number}", "A", seed=policy_seed)
        context = replace(context, inputs={**context.inputs, "policy": (policy,)})
        weights.append(load_file(stage._convert_once(spec_of(seed=seed), context) / "model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for other in weights[2:]:
        assert not torch.equal(weights[0]["model.of_latents.weight"], other["model.of_latents.weight"])


def test_a_trained_model_can_be_trained_further_also_with_a_memory(inputs: Inputs, tmp_path: Path) -> None:
    before = trained(tmp_path / "before", inputs, "A")
    context = cell(tmp_path / "after", inputs, "A")
    start_from = replace(context, inputs={**context.inputs, "policy": (before,)})
    target = stage._convert_once(spec_of("pred"), start_from)
    old, new = load_file(before / "model.safetensors"), load_file(target / "model.safetensors")
    kept = [name for name in old if name.startswith("model.")]
    assert kept
    assert all(torch.equal(old[name], new[name]) for name in kept)
    assert any(name.startswith("world.") for name in new)


def test_tokens_of_another_codebook_are_refused_where_a_trained_model_starts(inputs: Inputs, tmp_path: Path) -> None:
    before = trained(tmp_path / "before", inputs, "C")
    other = data_context(tmp_path / "tokens", latents=inputs["latents_image"][0], dataset=inputs["dataset"][0])
    run_tokens(TokensSpec(size=6, l2_normalise=False, seed=1, iterations=5, sample=1000, held_out=0.0), other)
    context = cell(tmp_path / "after", inputs, "C")
    for tokens, refused in ((inputs["tokens_image"][0], False), (other.artifact, True)):
        start_from = replace(context, inputs={**context.inputs, "policy": (before,), "tokens_image": (tokens,)})
        expected = pytest.raises(UserError, match="another codebook than the policy") if refused else nullcontext()
        with expected:
            stage._convert(spec_of(), start_from, tmp_path / f"start{refused}")
    config = PreTrainedConfig.from_pretrained(before)
    config.world_latents, config.world_tokens = str(inputs["latents_image"][0]), str(other.artifact)
    with pytest.raises(UserError, match="another codebook than the policy"):  # as lerobot-train starts from it
        get_policy_class(config.type).from_pretrained(
            before, config=config, dataset_meta=load_metadata(inputs["dataset"][0])
        )


def test_a_model_that_has_a_memory_is_no_start(inputs: Inputs, tmp_path: Path) -> None:
    before = trained(tmp_path / "before", inputs, "A", "pred")
    context = cell(tmp_path / "after", inputs, "A")
    start_from = replace(context, inputs={**context.inputs, "policy": (before,)})
    with pytest.raises(UserError, match="was trained with memory 'pred': start from a policy that has none"):
        stage._convert(spec_of("pred"), start_from, tmp_path / "start")


@pytest.mark.slow
@pytest.mark.parametrize(("model", "memory"), [("C", "disabled"), ("B_cont", "disabled"), ("A", "pred")])
def test_two_processes_train_to_the_losses_of_one(inputs: Inputs, tmp_path: Path, model: str, memory: str) -> None:
    """Actions past an episode's end weigh in neither loss: the parts of a batch have unequally many of them."""
    told = []
    for processes in (1, 2):
        context = cell(tmp_path / str(processes), inputs, model)
        stage.run(spec_of(memory, processes=processes), context)
        told.append(read_metrics(context.artifact / "metrics.jsonl"))
    for one, two in zip(*told, strict=True):
        for name in ("loss", "action_loss", "world_loss", "grad_norm"):
            assert two.get(name) == pytest.approx(one.get(name), rel=1e-4)


def test_no_picture_is_read_in_training(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr("world_modality.training.frames.decode_picture", refuse)
    monkeypatch.setattr(stage, "_judge", lambda *_: None)
    trained(tmp_path, inputs, "A")


def test_without_latents_there_is_nothing_to_see(inputs: Inputs, tmp_path: Path) -> None:
    context = cell(tmp_path, inputs, "A")
    with pytest.raises(UserError, match="sees frames as their latents: give it some"):
        stage.run(spec_of().model_copy(update={"world": None}), context)
