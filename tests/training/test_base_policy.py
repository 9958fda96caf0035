from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors.torch import load_file

from lerobot_policy_world_modality.backbone import resolved_backbone
from lerobot_policy_world_modality.convert import convert
from workflow.tools import base_policy
from workflow.tools.base_policy import export
from world_modality.errors import UserError
from world_modality.facts.benchmarks import SUITES
from world_modality.policies.host import small_host
from world_modality.training.statistics import start_statistics

Trained = Callable[[str], Path]


def test_export_is_a_plain_smolvla_with_the_trained_weights(trained: Trained, tmp_path: Path) -> None:
    target = tmp_path / "base_policy"
    for note in ("old", "new"):
        facts = export(trained("disabled"), {"study": note}, target)
    assert facts["type"] == "smolvla"
    assert json.loads((target / "provenance.json").read_text()) == {"study": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["base_policy"]
    exported = load_file(target / "model.safetensors")
    source = load_file(trained("disabled") / "pretrained_model" / "model.safetensors")
    assert source.keys() - exported.keys() == {"keyed_step"}
    assert all(torch.equal(exported[name], source[name]) for name in exported)
    assert start_statistics(target).keys() == {"observation.state", "action"}

    config = small_host("smolvla-tiny").small_config("smolvla-tiny", SUITES["libero_spatial"], 256)
    with resolved_backbone(config):
        policy = SmolVLAPolicy.from_pretrained(target, config=config, strict=True)
    assert torch.equal(policy.state_dict()["model.state_proj.bias"], exported["model.state_proj.bias"])
    assert "world" not in (target / "config.json").read_text()


def test_export_starts_an_arm_again(trained: Trained, tmp_path: Path) -> None:
    export(trained("disabled"), {}, tmp_path / "base")
    convert(tmp_path / "base", tmp_path / "start", world_memory_mode_train="disabled")
    weights = load_file(tmp_path / "start" / "model.safetensors")
    assert weights["keyed_step"] == 0


def test_what_cannot_be_a_base_is_refused(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="trained with memory pred"):
        export(trained("pred"), {}, tmp_path / "base")
    monkeypatch.setattr(base_policy, "LARGEST", 1000)
    with pytest.raises(UserError, match="an embedded base may take 1,000"):
        export(trained("disabled"), {}, tmp_path / "base")
    assert list(tmp_path.iterdir()) == []
