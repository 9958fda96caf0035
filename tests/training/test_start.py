from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.tiny_cell import stage_context

from world_modality.errors import UserError
from world_modality.study.specs import PolicySpec
from world_modality.training import start


def policy_spec(source: str, name: str, seed: int = 0) -> PolicySpec:
    return PolicySpec.model_validate({"source": source, "name": name, "revision": "", "seed": seed})


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    context = stage_context(tmp_path_factory.mktemp("scratch"))
    facts = start.run(policy_spec("scratch", "smolvla-tiny"), context)
    assert facts["type"] == "smolvla"
    assert 900_000 < facts["parameters"] < 1_100_000
    return context.artifact


def test_random_policy_is_a_function_of_its_seed(scratch: Path, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    for seed in (0, 1):
        start.build_random_policy("smolvla-tiny", seed, tmp_path / str(seed))
    assert torch.equal(state, torch.random.get_rng_state())
    first, same, other = (load_file(f / "model.safetensors") for f in (scratch, tmp_path / "0", tmp_path / "1"))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_random_policy_has_the_public_datasets_features(scratch: Path) -> None:
    config = json.loads((scratch / "config.json").read_text())
    shapes = {name: feature["shape"] for name, feature in config["input_features"].items()}
    picture = [3, 256, 256]
    assert shapes == {
        "observation.images.image": picture,
        "observation.images.image2": picture,
        "observation.state": [8],
    }
    assert config["output_features"]["action"]["shape"] == [7]
    assert config["vlm_model_name"] == "embedded:smolvlm-tiny"


def test_folder_is_copied(scratch: Path, tmp_path: Path) -> None:
    context = stage_context(tmp_path)
    start.run(policy_spec("folder", str(scratch)), context)
    assert {file.name for file in context.artifact.iterdir()} == {file.name for file in scratch.iterdir()}


def test_embedded_base_is_copied(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "EMBEDDED_BASE", scratch)
    context = stage_context(tmp_path)
    start.run(policy_spec("embedded", "smolvla-tiny"), context)
    assert (context.artifact / "model.safetensors").read_bytes() == (scratch / "model.safetensors").read_bytes()


def test_errors_say_what_to_do(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "EMBEDDED_BASE", tmp_path / "none")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"type": "act"}))
    cases = {
        policy_spec("embedded", "smolvla-tiny"): "snakemake embedded_base",
        policy_spec("scratch", "smolvla-giant"): "choose one of smolvla-tiny",
        policy_spec("folder", str(tmp_path / "nowhere")): "there is no folder",
        policy_spec("folder", str(other)): "no model.safetensors",
    }
    for number, (spec, message) in enumerate(cases.items()):
        with pytest.raises(UserError, match=message):
            start.run(spec, stage_context(tmp_path / str(number), stream=io.StringIO()))
    (other / "model.safetensors").write_bytes((scratch / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="type 'act'"):
        start.describe_policy(other)
