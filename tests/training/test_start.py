from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from support.earlier_checkpoints import earlier_checkpoint, plain_of, written
from support.hub_cache import COMMITS, use_hub
from support.tiny_cell import stage_context

from lerobot_policy_world_modality.backbone import BACKBONES
from lerobot_policy_world_modality.convert import convert
from world_modality.benchmarks.contract import Observation
from world_modality.data.hub import POLICY
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.chunk_policy import load_policy
from world_modality.policies.earlier import EARLIER_TYPE
from world_modality.policies.host import host_of, small_host
from world_modality.study.specs import PolicySpec
from world_modality.training import start

VLM = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"


def policy_spec(source: str, name: str, revision: str = "", backbone: str = "") -> PolicySpec:
    """A spec as planning gives it: a folder is addressed by what it holds now."""
    folder = {"folder": Path(name), "embedded": start.BASE_POLICY}.get(source)
    if folder and folder.is_dir():
        revision = POLICY.digest(folder)
    fields = {
        "source": source,
        "name": name,
        "revision": revision,
        "seed": 0,
        "backbone": backbone,
        "family": "smolvla",
    }
    fields |= {"suite": "libero_spatial", "pixels": 256} if source == "scratch" else {}
    return PolicySpec.model_validate(fields)


def prediction(folder: Path) -> npt.NDArray[np.float32]:
    """What the policy in a checkpoint does with one observation."""
    pictures = {camera: np.full((256, 256, 3), 90, np.uint8) for camera in ("image", "image2")}
    observation = Observation(images=pictures, state=np.zeros(8, np.float32))
    return load_policy(folder, "cpu", "disabled", 2).predict(observation, "put the bowl on the plate", noise_seed=3)


def around(policy: Path, backbone: str, target: Path) -> Path:
    """A copy of a policy whose config and tokenizer step name another backbone, the step as stock LeRobot writes it."""
    shutil.copytree(policy, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | {"vlm_model_name": backbone}))
    pipeline = json.loads((target / start.PREPROCESSOR).read_text())
    (step,) = (each for each in pipeline["steps"] if "tokenizer_name" in each["config"])
    step["registry_name"], step["config"]["tokenizer_name"] = "tokenizer_processor", backbone
    (target / start.PREPROCESSOR).write_text(json.dumps(pipeline))
    return target


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
        small_host("smolvla-tiny").build_small(
            "smolvla-tiny", seed, tmp_path / str(seed), SUITES["libero_spatial"], 256
        )
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
    monkeypatch.setattr(start, "BASE_POLICY", scratch)
    context = stage_context(tmp_path)
    start.run(policy_spec("embedded", "smolvla-tiny"), context)
    assert (context.artifact / "model.safetensors").read_bytes() == (scratch / "model.safetensors").read_bytes()


def test_a_folder_that_changed_since_the_plan_is_refused(scratch: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(scratch, tmp_path / "folder"))
    spec = policy_spec("folder", str(folder))
    (folder / "model.safetensors").write_bytes(b"trained on")
    with pytest.raises(UserError, match=r"policy\.path: the content of .* when the study was planned"):
        start.run(spec, stage_context(tmp_path / "copy"))


def test_the_hubs_backbone_and_tokenizer_are_those_of_the_planned_commit(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = use_hub(tmp_path / "hub", monkeypatch)
    hub.add(VLM, COMMITS[0], BACKBONES / "smolvlm-tiny", ref=None)
    hub.add(VLM, COMMITS[1], {"config.json": "{}"})  # what main is by now would not even load
    hub.add("lerobot/smolvla_base", COMMITS[2], around(scratch, VLM, tmp_path / "stock"))
    pinned = f"{VLM}@{COMMITS[0]}"
    context = stage_context(tmp_path / "policy")
    facts = start.run(policy_spec("hub", "lerobot/smolvla_base", COMMITS[2], pinned), context)
    assert (facts["backbone"], facts["tokenizer"]) == (pinned, pinned)
    cached = tmp_path / "hub" / "models--lerobot--smolvla_base" / "snapshots" / COMMITS[2] / "config.json"
    assert json.loads(cached.read_text())["vlm_model_name"] == VLM  # the cache is others' too
    assert np.array_equal(prediction(context.artifact), prediction(scratch))
    convert(context.artifact, tmp_path / "arm", world_memory_mode_train="disabled")
    assert json.loads((tmp_path / "arm" / "config.json").read_text())["vlm_model_name"] == pinned
    assert np.array_equal(prediction(tmp_path / "arm"), prediction(scratch))
    assert hub.asked == []


def test_a_tokenizer_of_another_name_is_left_alone_and_told(scratch: Path, tmp_path: Path) -> None:
    folder = around(scratch, VLM, tmp_path / "stock")
    preprocessor = folder / start.PREPROCESSOR
    preprocessor.write_text(preprocessor.read_text().replace(VLM, "other/tokenizer"))
    host_of("smolvla").pin_backbone(folder, f"{VLM}@{COMMITS[0]}")
    facts = start.describe_policy(folder)
    assert (facts["backbone"], facts["tokenizer"]) == (f"{VLM}@{COMMITS[0]}", "other/tokenizer")


def test_errors_say_what_to_do(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "BASE_POLICY", tmp_path / "none")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"type": "vqbet"}))
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
    with pytest.raises(UserError, match="type 'vqbet'"):
        start.describe_policy(other)


def test_an_earlier_checkpoint_is_a_start_policy(tmp_path: Path) -> None:
    folder = earlier_checkpoint(tmp_path / "e2")
    context = stage_context(tmp_path / "stage")
    facts = start.run(policy_spec("folder", str(folder)), context)
    assert (facts["type"], facts["backbone"]) == (EARLIER_TYPE, "embedded:smolvlm-tiny")
    settings = {"world_memory_mode_train": "zero", "world_latent_dim": 12, "world_heads": 4}
    host_of(EARLIER_TYPE).prepare(context.artifact, tmp_path / "arm", settings, None, renew=False)
    assert written(tmp_path / "arm")["type"] == "smolvla_world"
    stored = load_file(tmp_path / "arm" / "model.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in plain_of(folder).items())
