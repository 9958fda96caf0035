"""A world memory taken away again: what is left is SmolVLA, with the weights it had."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors.torch import load_file, save_file
from support.tiny_policy import WORLD, TinyWorld, save_backbone_with_weights

from lerobot_policy_world_modality.backbone import resolved_backbone
from lerobot_policy_world_modality.convert import convert
from lerobot_policy_world_modality.modeling_smolvla_world import SmolVLAWorldPolicy
from lerobot_policy_world_modality.processor_smolvla_world import make_smolvla_world_pre_post_processors
from lerobot_policy_world_modality.strip import strip
from world_modality.errors import UserError
from world_modality.facts.memory import FUSIONS
from world_modality.policies.host import host_of
from world_modality.store.files import write_json


@pytest.mark.parametrize("fusion", sorted(FUSIONS.names))
def test_what_is_left_acts_as_the_checkpoint_with_zero_memory(tiny: TinyWorld, tmp_path: Path, fusion: str) -> None:
    source = tiny.checkpoint("pred", world_fusion=fusion, world_gate_init=0.7, world_memory_mode_rollout="zero")
    (tmp_path / "plain").mkdir()
    strip(source, tmp_path / "plain")
    config = SmolVLAConfig.from_pretrained(tmp_path / "plain")
    with resolved_backbone(config):
        plain = SmolVLAPolicy.from_pretrained(tmp_path / "plain", config=config, strict=True)
    noise = torch.randn(1, config.chunk_size, config.max_action_dim, generator=torch.Generator().manual_seed(0))
    treated = SmolVLAWorldPolicy.from_pretrained(source).eval()
    expected = treated.predict_action_chunk(tiny.observation(3), noise=noise)
    assert torch.equal(plain.eval().predict_action_chunk(tiny.observation(3), noise=noise), expected)
    treated.config.world_memory_mode_rollout = "random"  # its gates are open, so any other memory moves the actions
    assert not torch.equal(treated.predict_action_chunk(tiny.observation(3), noise=noise), expected)


def test_there_and_back_is_the_base_again(tiny: TinyWorld, tmp_path: Path) -> None:
    facts = strip(tiny.checkpoint("pred"), tmp_path)
    base, back = load_file(tiny.base / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert base.keys() == back.keys()
    assert all(torch.equal(base[name], value) for name, value in back.items())
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads((tiny.base / "config.json").read_text())
    for file in tiny.base.glob("policy_p*"):
        same = json.loads if file.suffix == ".json" else bytes
        assert same((tmp_path / file.name).read_bytes()) == same(file.read_bytes())
    assert (facts.kept, facts.needs_plugin) == (len(base), True)
    assert "keyed_step" in facts.removed
    assert all(name == "keyed_step" or name.startswith("world.") for name in facts.removed)


def test_a_backbone_of_ones_own_needs_no_plugin(tiny: TinyWorld, tmp_path: Path) -> None:
    backbone = save_backbone_with_weights(tmp_path / "backbone")
    source = tmp_path / "source"
    shutil.copytree(tiny.base, source)
    config = json.loads((source / "config.json").read_text())
    write_json(source / "config.json", config | {"vlm_model_name": str(backbone)})
    for processor in make_smolvla_world_pre_post_processors(SmolVLAConfig.from_pretrained(source), tiny.metadata.stats):
        processor.save_pretrained(source)
    convert(source, tmp_path / "world", latents=tiny.latents, world_memory_mode_train="pred", **WORLD)
    (tmp_path / "plain").mkdir()
    assert not strip(tmp_path / "world", tmp_path / "plain").needs_plugin
    steps = json.loads((tmp_path / "plain" / "policy_preprocessor.json").read_text())["steps"]
    assert "tokenizer_processor" in {step.get("registry_name") for step in steps}
    assert "backbone_tokenizer_processor" not in {step.get("registry_name") for step in steps}
    plain = SmolVLAPolicy.from_pretrained(tmp_path / "plain", strict=True)
    assert make_pre_post_processors(plain.config, pretrained_path=str(tmp_path / "plain"))[0].steps


def test_a_pinned_backbone_gets_the_name_that_lerobot_knows(tiny: TinyWorld, tmp_path: Path) -> None:
    from lerobot_policy_world_modality.strip import _plain_tokenizer, plain_name

    pinned = f"some/backbone@{'a' * 40}"
    shutil.copytree(tiny.checkpoint("pred"), tmp_path / "pinned")
    host_of("smolvla").pin_backbone(tmp_path / "pinned", pinned)
    assert plain_name(pinned) == "some/backbone"
    file = tmp_path / "pinned" / "policy_preprocessor.json"
    _plain_tokenizer(file)
    (step,) = [each for each in json.loads(file.read_text())["steps"] if "tokenizer_name" in each.get("config", {})]
    assert (step["registry_name"], step["config"]["tokenizer_name"]) == ("tokenizer_processor", "some/backbone")


def test_what_cannot_be_stripped_is_told(tiny: TinyWorld, tmp_path: Path) -> None:
    def attempt(source: Path) -> None:
        target = tmp_path / "target"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        strip(source, target)

    with pytest.raises(UserError, match="is a 'smolvla': it has no world modules to strip"):
        attempt(tiny.base)
    with pytest.raises(UserError, match="is not a LeRobot checkpoint"):
        attempt(tmp_path)
    for change, told in (("stray", r"has \['model.extra'\]"), ("missing", r"lacks \['model.state_proj.bias'\]")):
        source = tmp_path / change
        shutil.copytree(tiny.checkpoint("zero"), source)
        weights = load_file(source / "model.safetensors")
        if change == "stray":
            weights["model.extra"] = torch.zeros(1)
        else:
            weights.pop("model.state_proj.bias")
        save_file(weights, source / "model.safetensors")
        with pytest.raises(UserError, match=told):
            attempt(source)
    cut = tmp_path / "cut"
    shutil.copytree(tiny.checkpoint("zero"), cut)
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match="it may be damaged"):
        attempt(cut)
    adapted = tmp_path / "adapted"
    shutil.copytree(tiny.checkpoint("zero"), adapted)
    config = json.loads((adapted / "config.json").read_text())
    write_json(adapted / "config.json", config | {"use_peft": True})
    with pytest.raises(UserError, match="merge them"):
        attempt(adapted)
