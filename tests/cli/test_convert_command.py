"""`wm convert`: every misuse is one sentence, and nothing is left behind or overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.data_stages import encoder_spec
from support.tiny_policy import ENCODER, LATENT_DIM, TinyWorld, build_tiny_world

from world_modality.cli.convert import convert_checkpoint, strip_checkpoint
from world_modality.cli.inspect_checkpoint import inspect_lines
from world_modality.encoders.source import build_embedded_encoder
from world_modality.errors import UserError
from world_modality.store.machine import version_of

SMALL = ["world_context=3", "world_prophet_width=32", "world_prophet_layers=1"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    build_embedded_encoder(ENCODER, folder)
    return folder


def test_there_and_back(tiny: TinyWorld, tmp_path: Path) -> None:
    lines = convert_checkpoint(str(tiny.base), tmp_path / "world", "pred", tiny.folders, None, SMALL)
    assert lines[0].startswith(f"checkpoint   {tmp_path / 'world'}: ")
    text = "\n".join(inspect_lines(tmp_path / "world"))
    assert "memory       trained with pred" in text
    assert "prophet      T=3, K=8, N=1, 1 layers of width 32" in text
    assert "encoder      vjepa2 vjepa2-small embedded, m=2" in text
    assert "made by      wm convert" in text
    assert (
        f"made with    lerobot_policy_world_modality {version_of('lerobot_policy_world_modality')}, lerobot 0." in text
    )
    lines = strip_checkpoint(str(tmp_path / "world"), tmp_path / "plain")
    assert lines[1] == "acts as      the checkpoint with --policy.world_memory_mode_rollout=disabled"
    base, back = (load_file(folder / "model.safetensors") for folder in (tiny.base, tmp_path / "plain"))
    assert base.keys() == back.keys()
    assert all(torch.equal(base[name], back[name]) for name in base)
    assert "memory       none" in inspect_lines(tmp_path / "plain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "world"]


def test_an_aligned_policy_is_told_of_latents_and_is_plain_for_whatever_starts_from_it(
    tiny: TinyWorld, tmp_path: Path
) -> None:
    settings = ["world_align=true", "world_align_weight=0.5", "world_prediction_horizon=4"]
    convert_checkpoint(str(tiny.base), tmp_path / "aligned", "disabled", tiny.folders, None, settings)
    text = "\n".join(inspect_lines(tmp_path / "aligned"))
    assert "memory       none" in text
    assert "foretell 4 latents, loss weight 0.5" in text
    assert "encoder      vjepa2 vjepa2-small embedded, m=2" in text
    for memory, latents in (("disabled", []), ("pred", tiny.folders)):
        convert_checkpoint(str(tmp_path / "aligned"), tmp_path / memory, memory, latents, None, [])
        config = json.loads((tmp_path / memory / "config.json").read_text())
        assert (config["world_align"], config["world_prediction_horizon"]) == (False, 8)
        kept = load_file(tmp_path / memory / "model.safetensors")
        assert not any(name.startswith("alignment.") for name in kept)
    plain = load_file(tmp_path / "disabled" / "model.safetensors")
    base = load_file(tiny.base / "model.safetensors")
    assert plain.keys() - base.keys() == {"keyed_step"}
    assert all(torch.equal(plain[name], value) for name, value in base.items())
    with pytest.raises(UserError, match="--memory disabled needs to know the latents"):
        convert_checkpoint(str(tiny.base), tmp_path / "other", "disabled", [], None, settings)


def test_an_encoder_that_made_the_latents_is_noted(tiny: TinyWorld, encoder: Path, tmp_path: Path) -> None:
    from world_modality.data.hub import ENCODER as CONTENT

    latents = tmp_path / "latents"
    latents.mkdir()
    for file in tiny.latents.iterdir():
        (latents / file.name).write_bytes(file.read_bytes())
    description = json.loads((latents / "latents.json").read_text())
    wide = tmp_path / "wide"
    build_embedded_encoder(encoder_spec(), wide)
    with pytest.raises(UserError, match=f"of width 128 .* but the latents .* a vjepa2 of width {LATENT_DIM}"):
        convert_checkpoint(str(tiny.base), tmp_path / "world", "pred", [latents], str(wide), SMALL)
    fitting = tmp_path / "fitting"
    fitting.mkdir()
    for file in encoder.iterdir():
        (fitting / file.name).write_bytes(file.read_bytes())
    config = json.loads((fitting / "config.json").read_text())
    (fitting / "config.json").write_text(json.dumps(config | {"hidden_size": LATENT_DIM}))
    convert_checkpoint(str(tiny.base), tmp_path / "world", "pred", [latents], str(fitting), SMALL)
    noted = json.loads((tmp_path / "world" / "config.json").read_text())["world_encoder_digest"]
    assert noted == CONTENT.digest(fitting)
    (fitting / "README.md").write_text("a note beside the model changes nothing")
    assert noted == CONTENT.digest(fitting)
    description["encoder"] |= {"source": "folder", "name": "folder", "revision": "0" * 16}
    (latents / "latents.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=f"with content {noted}, but .* with content {'0' * 16}"):
        convert_checkpoint(str(tiny.base), tmp_path / "other", "pred", [latents], str(fitting), SMALL)


MISUSES: dict[str, tuple[dict[str, Any], str]] = {
    "no mode": ({"memory": "predicted"}, "'predicted' is not a memory mode"),
    "no latents": ({"latents": []}, "--memory pred needs to know the latents"),
    "latents without use": ({"memory": "disabled"}, "--memory disabled has no world modules"),
    "mode twice": ({"settings": ["world_memory_mode_train=zero"]}, "give it as --memory"),
    "no value": ({"settings": ["world_context"]}, "give a setting as NAME=VALUE"),
    "no setting": ({"settings": ["world_contxt=3"]}, "no setting world_contxt"),
    "no number": ({"settings": ["world_context=many"]}, "'many' is no value"),
    "wrong number": ({"settings": ["world_context=0"]}, "world_context must be at least 1"),
    "no folder": ({"source": "nowhere"}, "is no folder, and no repository"),
    "empty source": ({"source": "."}, "is not a LeRobot checkpoint"),
    "no latents there": ({"latents": [Path()]}, "lacks latents.npy"),
    "no encoder there": ({"encoder": "nowhere"}, "is no folder, and no repository"),
    "no model in it": ({"encoder": "."}, "holds no encoder"),
    "width disagrees": ({"settings": ["world_latent_dim=7"]}, "world_latent_dim is 7 but the latents have 12"),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_is_told_and_leaves_nothing(
    tiny: TinyWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, misuse: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    changes, told = MISUSES[misuse]
    asked: dict[str, Any] = {
        "source": str(tiny.base),
        "output": tmp_path / "world",
        "memory": "pred",
        "latents": tiny.folders,
        "encoder": None,
        "settings": SMALL,
    }
    with pytest.raises(UserError, match=told) as error:
        convert_checkpoint(**{**asked, **changes})
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_nothing_is_overwritten(tiny: TinyWorld, tmp_path: Path) -> None:
    for call in (
        lambda: convert_checkpoint(str(tiny.base), tmp_path, "disabled", None, None, []),
        lambda: strip_checkpoint(str(tiny.checkpoint("pred")), tmp_path),
    ):
        with pytest.raises(UserError, match="exists already"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_with_world_modules_is_not_converted_twice(tiny: TinyWorld, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="with memory mode 'zero'"):
        convert_checkpoint(str(tiny.checkpoint("zero")), tmp_path / "world", "pred", tiny.folders, None, [])


def test_a_namesake_of_another_program_is_told(tiny: TinyWorld, tmp_path: Path) -> None:
    config = json.loads((tiny.base / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"type": "smolvla_world", "world_context": 4, "future_offset": 8})
    )
    for call in (
        lambda: convert_checkpoint(str(tmp_path), tmp_path / "world", "pred", tiny.folders, None, []),
        lambda: strip_checkpoint(str(tmp_path), tmp_path / "plain"),
    ):
        with pytest.raises(UserError, match=r"\(future_offset\): it was made by another program"):
            call()
