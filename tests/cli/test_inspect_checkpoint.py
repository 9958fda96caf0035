from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_policy import TinyWorld, build_tiny_world

from world_modality.cli.inspect_checkpoint import inspect_lines, read_header
from world_modality.errors import UserError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("world"))


def test_a_checkpoint_tells_its_memory_encoder_and_gates(tiny: TinyWorld) -> None:
    lines = inspect_lines(tiny.checkpoint("pred", world_fusion="layers", world_gate_init=0.5))
    text = "\n".join(lines)
    assert "policy       smolvla_world on embedded:smolvlm-tiny" in text
    assert "memory       trained with pred, rolled out with pred, fusion layers" in text
    assert "prophet      T=3, K=4, N=1, 1 layers of width 32, changes, loss weight 0.2" in text
    assert "encoder      vjepa2 vjepa2-small embedded, m=2, 32 px, mean pooling, float32" in text
    assert "latents      12 numbers of camera image\n" in text
    assert "gates        0.4621, 0.4621" in text
    both = inspect_lines(tiny.with_wrist().checkpoint("pred"))
    assert "latents      24 numbers of cameras image and image2" in both


def test_a_prophet_that_is_told_the_noisy_actions_says_so(tiny: TinyWorld) -> None:
    lines = inspect_lines(tiny.checkpoint("pred", world_actions=True))
    assert any(line.endswith("loss weight 0.2, told the noisy actions") for line in lines)


def test_a_base_policy_has_no_memory(tiny: TinyWorld) -> None:
    lines = inspect_lines(tiny.base)
    assert lines[-1] == "memory       none"
    total = sum(parameter.numel() for parameter in tiny.stock().parameters())
    assert f"numbers      {total:,} of the base, 0 of the world memory (F32)" in lines


def test_what_is_no_checkpoint_is_one_sentence(tmp_path: Path, tiny: TinyWorld) -> None:
    with pytest.raises(UserError, match=r"holds no config\.json"):
        inspect_lines(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((tiny.base / "model.safetensors").read_bytes()[:100])
    with pytest.raises(UserError, match=r"cannot be read .*cut short.*; it may be damaged"):
        inspect_lines(tmp_path)
    with pytest.raises(ValueError, match="cut short"):
        read_header(tmp_path / "model.safetensors")
